/**
 * The locked-memory limit, which every mapping counts against.
 *
 * @module
 */
import { readFileSync } from "node:fs";
import { isInitialUserNamespace } from "./user-namespace.js";

/** How much memory this process may pin and lock, and how much it does. In bytes. */
export interface LockedMemory {
  /** The soft limit (`ulimit -l`), or `Infinity`. The host's root, or rather CAP_IPC_LOCK, is not bound by it. */
  readonly limit: number;
  /**
   * Whether the limit binds this process: it does not have CAP_IPC_LOCK, or has it in a user namespace of its own (as root of a
   * rootless container), where it does not count.
   */
  readonly binding: boolean;
  /** Locked: `mlock`, and what type1 containers and iommufds in `mm` accounting have pinned (`VmLck`). */
  readonly locked: number;
  /**
   * Pinned for devices (`VmPin`): iommufd and io_uring count here. With CAP_IPC_LOCK iommufd does not move the count when memory
   * changes hands: it stays with the old process, and the new one has too little, but at least 0.
   */
  readonly pinned: number;
}

const CAP_IPC_LOCK = 14n;

function field(text: string, pattern: RegExp): string | undefined {
  return pattern.exec(text)?.[1];
}

/**
 * A line in kB, as bytes. What is unmapped by another process than the one that it was counted for is taken from a count that does
 * not have it, and the kernel shows the negative number as an unsigned one of 64 bits (in kB: a little less than 2^64).
 */
function kilobytes(text: string, name: string): number {
  const count = BigInt.asIntN(64, BigInt(field(text, new RegExp(`^${name}:\\s*(\\d+)`, "m")) ?? 0));
  return count < 0n ? 0 : Number(count) * 1024;
}

/** Reads the limit and what is used of it, from `/proc/self`. */
export function lockedMemory(): LockedMemory {
  const status = readFileSync("/proc/self/status", "latin1");
  const soft = field(readFileSync("/proc/self/limits", "latin1"), /^Max locked memory\s+(\S+)/m);
  const effective = BigInt(`0x${field(status, /^CapEff:\s*([0-9a-f]+)/m) ?? "0"}`);
  return {
    limit: soft === undefined || soft === "unlimited" ? Number.POSITIVE_INFINITY : Number(soft),
    binding: ((effective >> CAP_IPC_LOCK) & 1n) === 0n || !isInitialUserNamespace(),
    locked: kilobytes(status, "VmLck"),
    pinned: kilobytes(status, "VmPin"),
  };
}
