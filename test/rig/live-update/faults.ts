/**
 * The kernel refuses a call of the addon, once, where a test says.
 *
 * @module
 */
import { AsyncLocalStorage } from "node:async_hooks";
import { constants } from "node:os";
import { native } from "../../../lib/kernel/native.js";

const { EINVAL, EIO, EMFILE, ENOMEM } = constants.errno;

/** On whose behalf a call is made: both sides of a hand-over are in this process. */
export type Side = "old" | "successor";

/** The n-th call of a function by one side, counted from 0. */
export interface Call {
  readonly side: Side;
  readonly name: string;
  readonly nth: number;
}

/** What the kernel cannot refuse, or what does not ask it. */
const SURE =
  /^(close|mun?map.*Address|munmap|mapping.*|mmio.*|pageSize|detachArrayBuffer|pollStop|pollSetRef|watchSetEvents)$/;

/** What the kernel is likely to say. */
const LIKELY: Readonly<Record<string, number>> = {
  dup: EMFILE,
  eventfd: EMFILE,
  memfdCreate: EMFILE,
  mmap: ENOMEM,
  kvmIrqfd: ENOMEM,
  kvmSetGsiRouting: EINVAL,
  vfioIommuUnmapDma: EINVAL,
  iommufdIoasChangeProcess: ENOMEM,
};

const sides = new AsyncLocalStorage<Side>();
type Callable = (...args: never) => unknown;
const originals = new Map<string, Callable>();
let counts = new Map<string, number>();
let sequence: Call[] = [];
let fault: Call | undefined;

function intercept(name: string, original: Callable, args: unknown[]): unknown {
  const perform = (): unknown => Reflect.apply(original, native, args);
  const side = sides.getStore();
  if (side === undefined || SURE.test(name)) return perform();
  const key = `${side} ${name}`;
  const nth = counts.get(key) ?? 0;
  counts.set(key, nth + 1);
  sequence.push({ side, name, nth });
  if (fault === undefined || fault.side !== side || fault.name !== name || fault.nth !== nth) return perform();
  const errno = LIKELY[name] ?? EIO;
  const [, batch, count] = args;
  if (name === "vfioIommuMapDmaBatch" && batch instanceof BigUint64Array && typeof count === "number") {
    // A part of it is done: this much the kernel cannot take back by itself.
    Reflect.apply(original, native, [args[0], batch, count >> 1]);
    batch[0] = BigInt(errno);
    return count >> 1;
  }
  return -errno;
}

function isCallable(value: unknown): value is Callable {
  return typeof value === "function";
}

/** Lets every call of the addon pass by here, until it is disposed. */
export function watchCalls(): Disposable {
  for (const name of Object.keys(native)) {
    const original: unknown = Reflect.get(native, name);
    if (!isCallable(original)) continue;
    originals.set(name, original);
    Reflect.set(native, name, (...args: unknown[]) => intercept(name, original, args));
  }
  return {
    [Symbol.dispose]: () => {
      for (const [name, original] of originals) Reflect.set(native, name, original);
      originals.clear();
    },
  };
}

/** Does something on behalf of a side; whatever it waits for in between. */
export function as<T>(side: Side, work: () => T): T {
  return sides.run(side, work);
}

/** Counts from the beginning, and refuses a call if one is given. */
export function refuse(call: Call | undefined): void {
  counts = new Map();
  sequence = [];
  fault = call;
}

/** What was called since then. */
export function calls(): readonly Call[] {
  return sequence;
}
