/**
 * A hand-over from a process to itself: the program is replaced in place, by `execve`, and keeps its pid and its descriptors.
 *
 * Everything goes in one sealed memfd, whose number is in the environment:
 *
 * ```text
 *  8 bytes   "VFLUEXEC"
 *  u32       version
 *  u32       number of descriptors
 *  u32       length of the manifest
 *  u32       length of the last part
 *  i32 each  the descriptors, by their numbers, which stay what they are
 *  bytes     the manifest, then the last part
 * ```
 *
 * Numbers are little-endian. Descriptors stay close-on-exec until the exec itself, so that no child process started meanwhile
 * inherits a device, and are so again if it fails.
 *
 * @module
 */
import type { IncomingCarrier, OutgoingCarrier } from "./carrier.js";
import { type MessageLimits } from "./message-socket.js";
/** What is executed. */
export interface ExecCarrierOptions {
    /** A path, or a name that is looked for in PATH. By default the Node that runs (`process.execPath`). */
    readonly command?: string;
    /** Without the name of the command. By default those that this process was started with. */
    readonly args?: readonly string[];
    /** By default `process.env`, as it is at the end. */
    readonly env?: Readonly<Record<string, string | undefined>>;
}
/**
 * Opens the old program's side of a hand-over by exec in place.
 *
 * An exec ends every thread of the process where it stands: no `exit` event, no `finally`, and what a stream of the program holds
 * in its buffers is lost. `process.stdout` and `process.stderr` hold nothing, since Node writes to them synchronously on Linux. A
 * channel to a parent (`child_process.fork`) is closed. The new program must call {@link incomingExec}.
 */
export declare function execInPlace(options?: ExecCarrierOptions): OutgoingCarrier;
/** The limits of what {@link incomingExec} takes. */
export interface IncomingExecOptions {
    /** By default 256 MiB for each part, and 16,384 descriptors. */
    readonly limits?: Partial<MessageLimits>;
}
/**
 * The successor's side of a hand-over by exec in place, or undefined if this program was not started by one.
 *
 * To be called early, before the program starts child processes: until then they would inherit the devices. The variable
 * `VFIO_LIVE_UPDATE` is taken out of the environment.
 *
 * @throws VfioError EBADF or EBADMSG if the variable or what it names is not from a hand-over; the descriptors are then closed.
 *   EMSGSIZE if it is larger than the limits, EOPNOTSUPP if a later version of the package wrote it
 */
export declare function incomingExec(options?: IncomingExecOptions): IncomingCarrier | undefined;
