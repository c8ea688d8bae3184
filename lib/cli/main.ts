#!/usr/bin/env node
/**
 * The `vfio` command. Each subcommand lives in a file of its own and is a thin layer of words over the library.
 *
 * @module
 */
import { run } from "./program.js";

const { stdout, stderr, env } = process;
const exitCode = await run(process.argv.slice(2), { stdout, stderr, env });
// vfio rig leaves the code of the command in the guest.
if (exitCode !== 0) process.exitCode = exitCode;
