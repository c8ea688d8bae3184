/**
 * What a device does for a client and has not finished.
 *
 * @module
 */
import { constants } from "node:os";
import { VfioError } from "../../base/errors.js";

/**
 * Called between the steps of a request: those that were not begun when the client goes are left out.
 *
 * @throws VfioError ECANCELED if the client is gone
 */
export function checkPresent(signal: AbortSignal | undefined): void {
  if (signal?.aborted !== true) return;
  throw new VfioError({ errno: constants.errno.ECANCELED, syscall: "vfio-user", why: "the client is gone" });
}

/** The work of a device for one client. The end of the client waits for it. */
export class WorkUnderWay {
  readonly #all = new Map<Promise<unknown>, string>();

  /** The names of what is not finished. */
  get names(): readonly string[] {
    return [...this.#all.values()];
  }

  /** Counts a promise as work until it is settled, and returns it. */
  add<T>(name: string, work: Promise<T>): Promise<T> {
    const remove = () => this.#all.delete(work);
    this.#all.set(work, name);
    work.then(remove, remove);
    return work;
  }

  /** Resolves when everything is settled, also what was added meanwhile. */
  async over(): Promise<void> {
    while (this.#all.size > 0) await Promise.allSettled(this.#all.keys());
  }
}

/**
 * Waits until a promise is settled, but no longer than a time.
 *
 * @returns whether it is settled
 */
export async function settledWithin(work: Promise<unknown>, milliseconds: number): Promise<boolean> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<boolean>((resolve) => {
    timer = setTimeout(resolve, milliseconds, false);
  });
  const settled = work.then(
    () => true,
    () => true,
  );
  try {
    return await Promise.race([settled, late]);
  } finally {
    clearTimeout(timer);
  }
}
