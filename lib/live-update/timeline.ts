/**
 * How long each part of a hand-over took, over both processes.
 *
 * @module
 */

/** When a phase began, in nanoseconds of the monotonic clock, which all processes of a machine share. */
export interface PhaseMark {
  readonly phase: string;
  readonly at: bigint;
}

/** What a hand-over took. */
export interface LiveUpdateReport {
  /**
   * The phases in their order, with their lengths in milliseconds: `prepare` (manifest and descriptors travel, the successor gets
   * ready), `stop` (the program's own), `freeze`, `save` (the program's own state), `invalidate`, `transfer`, `take over`,
   * `commit`, `reconnect`.
   */
  readonly phases: readonly { readonly name: string; readonly milliseconds: number }[];
  /** From the first interrupt that was held back until the last one that came through again, in milliseconds. */
  readonly blackout: number;
}

/** Where the blackout begins. */
const FREEZE = "freeze";
const END = "end";
const MOST_MARKS = 64;

export class Timeline {
  readonly #marks: PhaseMark[];

  /** @param former what another process has noted before */
  constructor(former: readonly PhaseMark[] = []) {
    this.#marks = [...former];
  }

  get marks(): readonly PhaseMark[] {
    return this.#marks;
  }

  /** A phase begins, and the one before ends. */
  begin(phase: string): void {
    this.#marks.push({ phase, at: process.hrtime.bigint() });
  }

  /** The last phase ends. */
  end(): void {
    this.begin(END);
  }

  /** What the successor adds, for the old process. */
  encode(): Uint8Array {
    const marks = this.#marks.map(({ phase, at }) => [phase, String(at)]);
    return new TextEncoder().encode(JSON.stringify(marks));
  }

  /** What {@link encode} made; nothing if it is something else, since by then the hand-over is over and nobody can refuse. */
  static decode(bytes: Uint8Array): Timeline {
    let value: unknown;
    try {
      value = JSON.parse(new TextDecoder().decode(bytes));
    } catch {
      return new Timeline();
    }
    return new Timeline(Array.isArray(value) && value.length <= MOST_MARKS ? value.flatMap(toMark) : []);
  }

  get report(): LiveUpdateReport {
    const phases = this.#marks.slice(0, -1).map(({ phase, at }, index) => ({
      name: phase,
      milliseconds: milliseconds(at, this.#marks[index + 1]?.at ?? at),
    }));
    const start = this.#marks.find(({ phase }) => phase === FREEZE)?.at;
    const end = this.#marks.at(-1)?.at;
    return { phases, blackout: start === undefined || end === undefined ? 0 : milliseconds(start, end) };
  }
}

function milliseconds(from: bigint, to: bigint): number {
  return Number(to - from) / 1e6;
}

function toMark(entry: unknown): PhaseMark[] {
  if (!Array.isArray(entry)) return [];
  const [phase, at]: unknown[] = entry;
  if (typeof phase !== "string" || typeof at !== "string" || !/^\d{1,20}$/.test(at)) return [];
  return [{ phase, at: BigInt(at) }];
}
