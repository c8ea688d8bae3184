import type { TracedCall } from "../kernel/traced-call.js";
/** A call, as docs/command.md describes it. */
export interface TraceRecord {
    readonly pid: number;
    /** 0 for the main thread. */
    readonly thread: number;
    /** When it began, in seconds since 1970. */
    readonly time: number;
    readonly syscall: string;
    readonly request: string | null;
    readonly args: Readonly<Record<string, string>>;
    readonly result: string | null;
    readonly error: string | null;
    readonly seconds: number;
    readonly batch: number;
}
/** A call of this thread as a record. */
export declare function recordOf({ syscall, request, args, answer, error, start, duration, batch }: TracedCall): TraceRecord;
