/**
 * What can go wrong with the rig itself, apart from the command that runs in it.
 *
 * @module
 */

/**
 * Why the rig failed:
 *
 * | code | meaning |
 * | --- | --- |
 * | `ERR_RIG_MISSING` | something the rig needs is not on this machine; the message lists what, and how to get it |
 * | `ERR_RIG_KERNEL` | the guest's kernel could not be fetched or built, or the image that was named cannot be read |
 * | `ERR_RIG_QEMU` | QEMU refused its command line or died |
 * | `ERR_RIG_BOOT` | the guest did not come up |
 * | `ERR_RIG_PANIC` | the guest's kernel panicked |
 * | `ERR_RIG_TIMEOUT` | the command did not end in time; the guest was killed |
 * | `ERR_RIG_ENDED` | the guest powered off, or rebooted, before the command had ended |
 * | `ERR_RIG_ABORTED` | the caller's `AbortSignal` fired; the guest was killed |
 */
export type RigErrorCode =
  | "ERR_RIG_MISSING"
  | "ERR_RIG_KERNEL"
  | "ERR_RIG_QEMU"
  | "ERR_RIG_BOOT"
  | "ERR_RIG_PANIC"
  | "ERR_RIG_TIMEOUT"
  | "ERR_RIG_ENDED"
  | "ERR_RIG_ABORTED";

/** A failure of the rig, never of the command that runs in it. */
export class RigError extends Error {
  /** Why, for programs. */
  readonly code: RigErrorCode;
  /** The text that explains it: the guest's console, or the end of a build's log; empty if there is none. */
  readonly log: string;
  /** What to do about it, where the message does not say so itself. */
  readonly fix: string | undefined;

  constructor(
    code: RigErrorCode,
    message: string,
    options: { log?: string; fix?: string | undefined; cause?: unknown } = {},
  ) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.name = "RigError";
    this.code = code;
    this.log = options.log ?? "";
    this.fix = options.fix;
  }
}

/** The last lines of a text. */
export function tail(text: string, lines: number): string {
  return text.trimEnd().split("\n").slice(-lines).join("\n");
}
