#!/usr/bin/env node
/**
 * The `vfio` command. Each subcommand lives in a file of its own and is a thin layer of words over the library.
 *
 * @module
 */
import { Command } from "commander";
import { rigCommand } from "./rig.js";

const program = new Command("vfio")
  .description("User-space PCI devices: VFIO, iommufd and vfio-user.")
  .enablePositionalOptions()
  .showHelpAfterError("(add --help for the options)")
  .addCommand(rigCommand());

await program.parseAsync();
