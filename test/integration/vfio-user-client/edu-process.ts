/** An edu device in a process of its own. */
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { fileURLToPath } from "node:url";
import type { EduDeviceOptions, ServerOptions } from "../../../lib/vfio-user/index.js";

export interface EduProcess extends AsyncDisposable {
  readonly socket: string;
  readonly process: ChildProcess;
  /** Ends it at once, as a crash would. */
  kill(): Promise<void>;
}

export interface EduProcessOptions {
  readonly server?: ServerOptions;
  readonly device?: Pick<EduDeviceOptions, "dmaDelay">;
}

/** Where sockets are while a test runs. */
export function socketDirectory(): Disposable & { readonly path: string } {
  const directory = mkdtempSync(path.join(tmpdir(), "vfio-user-"));
  return { path: directory, [Symbol.dispose]: () => rmSync(directory, { recursive: true }) };
}

export async function startEdu(socket: string, options: EduProcessOptions = {}): Promise<EduProcess> {
  const script = fileURLToPath(new URL("edu-server.mjs", import.meta.url));
  // As JSON: an argument cannot have a NUL in it, with which an abstract name begins.
  const child = spawn(process.execPath, [script, JSON.stringify(socket), JSON.stringify(options)], {
    stdio: ["pipe", "pipe", "inherit"],
  });
  const over = once(child, "exit");
  await Promise.race([
    once(child.stdout, "data"),
    over.then(() => {
      throw new Error("the server did not start");
    }),
  ]);
  return {
    socket,
    process: child,
    async kill() {
      child.kill("SIGKILL");
      await over;
    },
    async [Symbol.asyncDispose]() {
      child.stdin.end();
      await over;
    },
  };
}
