/**
 * What a traced call says of itself. Nothing here loads the native addon: `vfio trace` reads these in programs that may
 * have another copy of the package.
 *
 * @module
 */

/** The `diagnostics_channel` of calls into the kernel. Each message is a {@link TracedCall}. */
export const CALL_CHANNEL = "vfio:call";

/** The `diagnostics_channel` of accesses to registers that are mapped into the process, which the kernel does not see. */
export const REGISTER_CHANNEL = "vfio:register";

/** An argument of a traced call. */
export interface TracedArgument {
  /** As the kernel's structure, or the manual page of the system call, names it. */
  readonly name: string;
  /** What was passed, where that is one value; left out for bytes and lists. */
  readonly value?: number | bigint | string | boolean;
  /** For people: flags by their names, addresses in hexadecimal, descriptors with what they are (`12</dev/iommu>`). */
  readonly text: string;
}

/** One call, after it ended. */
export interface TracedCall {
  /** The system call: `ioctl`, `mmap`, ...; `read`, `write` and `run` on the channel of registers. */
  readonly syscall: string;
  /** The ioctl's name, where `syscall` is `ioctl`: `IOMMU_IOAS_MAP`, ... */
  readonly request: string | undefined;
  /** The arguments, in the kernel's order. */
  readonly args: readonly TracedArgument[];
  /** Whether the arguments are those of a structure: only the descriptor in front of them is not. */
  readonly structure: boolean;
  /** What came back, where that is one value; undefined where the call was refused, or answered with more than that. */
  readonly result: number | bigint | undefined;
  /** What came back, for people; `?` of an exec, which does not come back. */
  readonly answer: string;
  /** The error's name (`EBUSY`), where the call was refused. */
  readonly error: string | undefined;
  /** When it began, in milliseconds, on the clock of `performance.now()`. */
  readonly start: number;
  /**
   * How long it took, in milliseconds. Of a call on another thread: until its result was here. Of one of a batch: its
   * equal share, because the addon makes a batch without coming back in between.
   */
  readonly duration: number;
  /** How many calls the batch was of; 1 for a call on its own. */
  readonly batch: number;
}

/** What a call is filtered and counted by: the ioctl's name, or the system call's. */
export function callName({ request, syscall }: Pick<TracedCall, "request" | "syscall">): string {
  return request ?? syscall;
}

/** Whether a message of the channels is one: anybody may publish there. */
export function isTracedCall(message: unknown): message is TracedCall {
  return typeof message === "object" && message !== null && "syscall" in message && "answer" in message;
}
