/**
 * `node dist/bench/main.js`: `vfio bench` without the way to the command.
 *
 * @module
 */
const { run }: { run?: unknown } = await import(new URL("../cli/program.js", import.meta.url).href);
if (typeof run !== "function") throw new TypeError("dist/cli is of another version");
const { stdout, stderr, env } = process;
process.exitCode = await run(["bench", ...process.argv.slice(2)], { stdout, stderr, env });
