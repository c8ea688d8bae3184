/**
 * Where built kernels are kept, under what name, and how two processes that want the same one do not build it twice.
 *
 * @module
 */

import { createHash } from "node:crypto";
import { readdir, stat } from "node:fs/promises";
import { connect, createServer } from "node:net";
import { homedir } from "node:os";
import { isAbsolute, join } from "node:path";
import { checkObject } from "../base/arguments.js";

/** The rig's cache directory: `$XDG_CACHE_HOME/vfio/rig`, or the same under `~/.cache`. */
export function cacheDirectory(env: Readonly<Record<string, string | undefined>> = process.env): string {
  checkObject("env", env);
  const xdg = env["XDG_CACHE_HOME"];
  // The XDG specification: a relative path is invalid and is to be ignored.
  return join(xdg !== undefined && isAbsolute(xdg) ? xdg : join(homedir(), ".cache"), "vfio", "rig");
}

/** What a configuration is called in the cache: the start of its SHA-256, without comments and empty lines. */
export function configHash(config: string): string {
  const lines = config.split("\n").filter((line) => line.trim() !== "" && !line.startsWith("#"));
  return createHash("sha256").update(lines.join("\n")).digest("hex").slice(0, 16);
}

/** The key of a kernel in the cache: the version of its source package and its configuration's hash. */
export function kernelKey(sourceVersion: string, config: string): string {
  // Debian's versions may have an epoch, whose colon is a nuisance in paths.
  return `${sourceVersion.replaceAll(/[^\w.+~-]/g, "_")}-${configHash(config)}`;
}

/**
 * The kernel for a configuration that was built last, whatever its source's version, so that a run with a full cache asks
 * no mirror. To have a newer source, remove the older kernel.
 *
 * @returns its path, or undefined
 */
export async function cachedKernel(directory: string, config: string): Promise<string | undefined> {
  const hash = configHash(config);
  let newest: { path: string; time: number } | undefined;
  for (const entry of await readdir(directory).catch(() => [])) {
    if (!entry.endsWith(`-${hash}`)) continue;
    const path = join(directory, entry, "bzImage");
    const time = (await stat(path).catch(() => undefined))?.mtimeMs;
    if (time !== undefined && (newest === undefined || time > newest.time)) newest = { path, time };
  }
  return newest?.path;
}

/**
 * Hold a lock while a function runs. Others that ask for it wait.
 *
 * The lock is a socket in the abstract namespace: the kernel releases it with the process, however it ends. It saves
 * work, nothing more; in another network namespace somebody else may hold it too.
 *
 * @param name the lock's name; at most 90 bytes
 * @param onWait called when the lock is somebody else's
 * @param signal ends the wait, with the signal's reason
 */
export async function withLock<T>(
  name: string,
  onWait: () => void,
  run: () => Promise<T>,
  signal?: AbortSignal,
): Promise<T> {
  const path = `\0vfio-${process.getuid?.() ?? 0}-${name}`;
  const waiting = new Set<() => void>();
  const server = createServer((socket) => {
    // Who waits holds a connection, and sees it close.
    waiting.add(() => socket.destroy());
    socket.on("error", () => {});
  });
  for (;;) {
    const taken = await new Promise<boolean>((resolve, reject) => {
      server.once("error", (error: NodeJS.ErrnoException) => {
        if (error.code === "EADDRINUSE") resolve(true);
        else reject(error);
      });
      server.listen(path, () => resolve(false));
    });
    if (!taken) break;
    onWait();
    signal?.throwIfAborted();
    await new Promise<void>((resolve) => {
      const socket = connect(path);
      const leave = () => socket.destroy();
      signal?.addEventListener("abort", leave, { once: true });
      socket.on("error", () => {});
      socket.once("close", () => {
        signal?.removeEventListener("abort", leave);
        resolve();
      });
      socket.resume();
    });
    signal?.throwIfAborted();
  }
  try {
    return await run();
  } finally {
    await new Promise<void>((resolve) => {
      server.close(() => resolve());
      for (const end of waiting) end();
    });
  }
}
