/** Workers of a process whose main thread never imports the package: Node unloads the addon with the last of them. */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { text } from "node:stream/consumers";

/** The ways in which a worker can end with something open. */
export const endings = ["process.exit()", "terminate()", "an uncaught error", "nothing left to do"] as const;

export type Ending = (typeof endings)[number];

const statements: Readonly<Record<Ending, string>> = {
  "process.exit()": "process.exit(0);",
  "terminate()": "",
  "an uncaught error": "throw new Error('on purpose');",
  "nothing left to do": "parentPort.unref();",
};

const library = (path: string) => JSON.stringify(new URL(`../dist/${path}`, import.meta.url).href);

/**
 * Runs two workers, one after the other, each in an addon that was loaded for it.
 *
 * @param body what each does first, with `vfio` and `user`; what it keeps open it puts into `open`
 */
export async function runInWorkersOnly(body: string, ending: Ending) {
  const worker = `
    const { parentPort } = require("node:worker_threads");
    globalThis.open = [];
    (async () => {
      const vfio = await import(${library("index.js")});
      const user = await import(${library("vfio-user/index.js")});
      ${body}
      parentPort.once("message", () => { ${statements[ending]} });
      parentPort.postMessage("ready");
    })();`;
  const main = `
    const { Worker } = require("node:worker_threads");
    (async () => {
      for (let round = 0; round < 2; round++) {
        const worker = new Worker(${JSON.stringify(worker)}, { eval: true });
        worker.on("error", ({ message }) => console.log(message));
        worker.on("message", (message) => {
          console.log(message);
          if (${ending === "terminate()"}) worker.terminate();
          else worker.postMessage("end");
        });
        await new Promise((exited) => worker.once("exit", exited));
      }
      console.log("over");
    })();`;
  const child = spawn(process.execPath, ["-e", main], {
    stdio: ["ignore", "pipe", "pipe"],
    env: { ...process.env, NODE_OPTIONS: "" },
  });
  const [[code, signal], stdout, stderr] = await Promise.all([
    once(child, "close"),
    text(child.stdout),
    text(child.stderr),
  ]);
  return { code, signal, stdout, stderr };
}

/** What {@link runInWorkersOnly} comes to when nothing goes wrong. */
export function endedWell(ending: Ending) {
  const each = ending === "an uncaught error" ? "ready\non purpose\n" : "ready\n";
  return { code: 0, signal: null, stdout: `${each}${each}over\n`, stderr: "" };
}
