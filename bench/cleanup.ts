/**
 * What a benchmark has to undo.
 *
 * @module
 */

/** What is to be undone, the last first. Node 20 has no `AsyncDisposableStack`. */
export class Cleanup implements AsyncDisposable {
  #steps: (() => void | Promise<void>)[] = [];

  defer(step: () => void | Promise<void>): void {
    this.#steps.push(step);
  }

  /** Leaves everything to another one. */
  move(): Cleanup {
    const other = new Cleanup();
    other.#steps = this.#steps;
    this.#steps = [];
    return other;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (let step = this.#steps.pop(); step !== undefined; step = this.#steps.pop()) await step();
  }
}
