/**
 * A forgotten object warns and leaks; it is never closed, unmapped or freed by the garbage collector. A device may still
 * be writing to the memory, or another process may hold the other end: only the program knows.
 *
 * @module
 */
import { inspect } from "node:util";

const registry = new FinalizationRegistry<string>((text) => {
  process.emitWarning(text, { type: "VfioLeakWarning", code: "VFIO_LEAK" });
});

const traced = /\bvfio\b/.test(process.env.NODE_DEBUG ?? "");

/**
 * Watches an object that owns a kernel object.
 *
 * @param owner the object
 * @param what what stays behind when it is forgotten
 * @param remedy the call that the program forgot
 * @returns a function that ends the watch, for when the object is closed properly
 */
export function watchForLeak(owner: object, what: string, remedy: string): () => void {
  const token = {};
  // With NODE_DEBUG=vfio the warning says where the object was made; a stack for each object is too dear otherwise.
  const made = traced ? `, made ${inspect(new Error("here").stack?.split("\n").slice(3).join("\n"))}` : "";
  registry.register(
    owner,
    `${what} was garbage-collected without ${remedy}: it stays open until the process (or worker) ends${made}`,
    token,
  );
  return () => registry.unregister(token);
}
