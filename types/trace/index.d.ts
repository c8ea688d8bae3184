/**
 * Seeing every call into the kernel.
 *
 * @module
 */
import { type TracedCall } from "../kernel/traced-call.js";
export { formatCall } from "../kernel/call-format.js";
export { CALL_CHANNEL, REGISTER_CHANNEL, type TracedArgument, type TracedCall } from "../kernel/traced-call.js";
/** What {@link traceCalls} tells of. */
export interface TraceOptions {
    /** Accesses to mapped registers, too. Each is a message, which takes a thousand times as long as the access. Default: false. */
    readonly registers?: boolean;
}
/**
 * Calls a listener after each call that the package makes into the kernel, until the returned object is disposed of.
 *
 * It is of this thread: each worker has its own. What the listener calls of this package is not told; what it throws is
 * an `uncaughtException`, as with any `diagnostics_channel`. While nobody listens, tracing costs nothing at all.
 *
 * @param listener gets the call, with its arguments, its result and its time
 */
export declare function traceCalls(listener: (call: TracedCall) => void, options?: TraceOptions): Disposable;
