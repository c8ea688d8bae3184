/**
 * A device of ours in a process of its own: a client's calls block, so its server cannot be in the same one.
 *
 * @module
 */
import { fork } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { fileURLToPath } from "node:url";
import { type PciDevice, VfioUserServer } from "vfio/user";
import { Cleanup } from "./cleanup.js";

/** A running one. It ends when it is disposed of, or with this process. */
export class DeviceProcess implements AsyncDisposable {
  /** Where it listens. */
  readonly socket: string;
  readonly #cleanup: Cleanup;

  /** @param script beside this file; it calls {@link serve} */
  static async start(script: string): Promise<DeviceProcess> {
    await using cleanup = new Cleanup();
    const directory = mkdtempSync(path.join(tmpdir(), "vfio-bench-"));
    cleanup.defer(() => rmSync(directory, { recursive: true }));
    const socket = path.join(directory, "device.sock");
    const server = fork(fileURLToPath(new URL(script, import.meta.url)), [socket]);
    const over = once(server, "exit");
    cleanup.defer(async () => {
      if (server.connected) server.disconnect();
      await over;
    });
    const ended = over.then(() => {
      throw new Error("the device's process ended");
    });
    await Promise.race([once(server, "message"), ended]);
    ended.catch(() => {});
    return new DeviceProcess(socket, cleanup.move());
  }

  private constructor(socket: string, cleanup: Cleanup) {
    this.socket = socket;
    this.#cleanup = cleanup;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.#cleanup[Symbol.asyncDispose]();
  }
}

/** The other process's side: serves a device at the socket that its only argument names, for as long as its parent lives. */
export function serve(device: PciDevice): void {
  const [socket] = process.argv.slice(2);
  if (socket === undefined) throw new Error(`usage: ${process.argv[1]} <socket>`);
  const server = VfioUserServer.listen(device, socket);
  process.send?.("ready");
  process.once("disconnect", () => server.close());
}
