/**
 * Steps of which every one is taken, whatever becomes of the others: closing, undoing.
 *
 * @module
 */

/** Runs every step, also after one that fails. Returns what they threw. */
export function failuresOf(steps: Iterable<() => void>): readonly unknown[] {
  const failures: unknown[] = [];
  for (const step of steps) {
    try {
      step();
    } catch (error) {
      failures.push(error);
    }
  }
  return failures;
}

/** A step with a name, which may take its time. */
export type NamedStep = readonly [what: string, step: () => unknown];

/** Runs every step, one after the other, also after one that fails. Returns what failed, and at which step. */
export async function failuresOfEach(
  steps: Iterable<NamedStep>,
): Promise<readonly { readonly what: string; readonly error: unknown }[]> {
  const failures: { readonly what: string; readonly error: unknown }[] = [];
  for (const [what, step] of steps) {
    try {
      await step();
    } catch (error) {
      failures.push({ what, error });
    }
  }
  return failures;
}

/**
 * Runs every step, also after one that fails.
 *
 * @throws what failed: the error itself if it was one, an AggregateError if there were several
 */
export function runAll(what: string, steps: Iterable<() => void>): void {
  const failures = failuresOf(steps);
  if (failures.length === 1) throw failures[0];
  if (failures.length > 1) throw new AggregateError(failures, `${what} failed in part`);
}
