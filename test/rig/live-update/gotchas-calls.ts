/**
 * Who asks the kernel for what: both sides of a hand-over are in this process.
 *
 * @module
 */
import { AsyncLocalStorage } from "node:async_hooks";
import { native } from "../../../lib/kernel/native.js";

/** A call of the addon, on behalf of somebody. */
export interface Call {
  readonly who: string;
  readonly name: string;
  readonly args: readonly unknown[];
}

const callers = new AsyncLocalStorage<() => string>();

type Callable = (...args: never) => unknown;
const isCallable = (value: unknown): value is Callable => typeof value === "function";

/** Does something, whatever it waits for in between; `who` is asked at each call. */
export function as<T>(who: () => string, work: () => T): T {
  return callers.run(who, work);
}

/** Notes calls until it is disposed. */
export class Calls implements Disposable {
  readonly list: Call[] = [];
  readonly #originals = new Map<string, Callable>();

  constructor() {
    for (const name of Object.keys(native)) {
      const original: unknown = Reflect.get(native, name);
      if (!isCallable(original)) continue;
      this.#originals.set(name, original);
      Reflect.set(native, name, (...args: unknown[]) => {
        const who = callers.getStore();
        if (who !== undefined) this.list.push({ who: who(), name, args });
        return Reflect.apply(original, native, args);
      });
    }
  }

  /** The names of what somebody has called, each once. */
  namesOf(who: string): string[] {
    return [...new Set(this.list.filter((call) => call.who === who).map(({ name }) => name))].sort();
  }

  [Symbol.dispose](): void {
    for (const [name, original] of this.#originals) Reflect.set(native, name, original);
  }
}
