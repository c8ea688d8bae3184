/**
 * `vfio demo`: what `npm start` runs in a checkout.
 *
 * @module
 */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { fileURLToPath } from "node:url";
import { Command } from "commander";
import { act, configure, examples, type Session } from "./command.js";
import { exitCodes } from "./failure.js";

const start = fileURLToPath(new URL("./start.js", import.meta.url));

/** The subcommand. */
export function demoCommand(session: Session): Command {
  const command = configure(session, new Command("demo"))
    .description("See it work: an emulated device on any Linux; with --kernel, or as root, real drivers in the rig.")
    .option("--kernel", "in the rig's guest too; the first time builds its kernel, which takes minutes");
  examples(command, [
    ["vfio demo", "needs no hardware and no privileges"],
    ["vfio demo --kernel", "a real kernel's VFIO, and the process replaced meanwhile"],
  ]);
  return command.action(act(session, async (_output, options: { readonly kernel?: true }) => await demo(options)));
}

async function demo({ kernel }: { readonly kernel?: true }): Promise<number> {
  const child = spawn(process.execPath, [start, ...(kernel === true ? ["--kernel"] : [])], { stdio: "inherit" });
  // A terminal sends Ctrl-C to both: the demo tidies up, and this waits for it.
  const wait = () => {};
  process.on("SIGINT", wait);
  const [code]: unknown[] = await once(child, "exit");
  process.off("SIGINT", wait);
  return typeof code === "number" ? code : exitCodes.interrupted;
}
