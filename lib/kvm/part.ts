/**
 * What a virtual machine made: it goes before the machine's descriptor does.
 *
 * @module
 */
export interface VmPart {
  close(): void;
}

/**
 * Runs every step, also after one that fails.
 *
 * @throws what failed: the error itself if it was one, an AggregateError if there were several
 */
export function runAll(what: string, steps: Iterable<() => void>): void {
  const failures: unknown[] = [];
  for (const step of steps) {
    try {
      step();
    } catch (error) {
      failures.push(error);
    }
  }
  if (failures.length === 1) throw failures[0];
  if (failures.length > 1) throw new AggregateError(failures, `${what} failed in part`);
}
