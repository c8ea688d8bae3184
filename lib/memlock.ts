/**
 * The locked-memory limit, which every mapping counts against.
 *
 * @module
 */
import { readFileSync } from "node:fs";

/** How much memory this process may pin and lock, and how much it does. In bytes. */
export interface LockedMemory {
  /** The soft limit (`ulimit -l`), or `Infinity`. Root and CAP_IPC_LOCK are not bound by it. */
  readonly limit: number;
  /** Whether the limit binds this process: it does not have CAP_IPC_LOCK. */
  readonly binding: boolean;
  /** Locked: `mlock`, and what type1 containers and iommufds in `mm` accounting have pinned (`VmLck`). */
  readonly locked: number;
  /** Pinned for devices (`VmPin`): iommufd and io_uring count here. */
  readonly pinned: number;
}

const CAP_IPC_LOCK = 14n;

function field(text: string, pattern: RegExp): string | undefined {
  return pattern.exec(text)?.[1];
}

/** Reads the limit and what is used of it, from `/proc/self`. */
export function lockedMemory(): LockedMemory {
  const status = readFileSync("/proc/self/status", "latin1");
  const soft = field(readFileSync("/proc/self/limits", "latin1"), /^Max locked memory\s+(\S+)/m);
  const effective = BigInt(`0x${field(status, /^CapEff:\s*([0-9a-f]+)/m) ?? "0"}`);
  return {
    limit: soft === undefined || soft === "unlimited" ? Number.POSITIVE_INFINITY : Number(soft),
    binding: ((effective >> CAP_IPC_LOCK) & 1n) === 0n,
    locked: Number(field(status, /^VmLck:\s*(\d+)/m) ?? 0) * 1024,
    pinned: Number(field(status, /^VmPin:\s*(\d+)/m) ?? 0) * 1024,
  };
}
