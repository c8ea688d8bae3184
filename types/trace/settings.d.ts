/**
 * What `vfio trace` tells the programs that it starts, in their environment.
 *
 * @module
 */
import { type TracedCall } from "../kernel/traced-call.js";
/** The environment variable. */
export declare const SETTINGS_VARIABLE = "VFIO_TRACE";
/** What is to be told, how and where. */
export interface TraceSettings {
    /** A file that lines are appended to; standard error where there is none. */
    readonly file?: string;
    /** The version of the schema, where lines are JSON. */
    readonly json?: number;
    /** Names of calls, with `*` for anything; all of them where there is none. */
    readonly filter: readonly string[];
    /** Only calls that were refused. */
    readonly failed: boolean;
    /** Accesses to registers, too. */
    readonly registers: boolean;
}
/** The settings, if the variable has any: it is the user's environment, and no reason to stop the user's program. */
export declare function parseSettings(text: string | undefined): TraceSettings | undefined;
/** Says of a call's name and system call whether one of the words means it. */
export declare function nameFilter(words: readonly string[]): (call: Pick<TracedCall, "request" | "syscall">) => boolean;
