import { type Command } from "commander";
import { type ProgressListener } from "../rig/progress.js";
import { type Session } from "./command.js";
import { type Column } from "./table.js";
import type { Colors } from "./terminal.js";
/** Which benchmarks are shown, and how. */
export interface BenchView {
    /** Parts of names, or their beginnings with stars; none for all. */
    readonly names: readonly string[];
    readonly colors: Colors;
    /** What an earlier run printed, for a table of both. */
    readonly compare: string | undefined;
}
/** A benchmark begins. */
export interface BenchBegin {
    readonly name: string;
    readonly where: "host" | "guest";
    /** How many have begun, this one among them. */
    readonly begun: number;
    readonly of: number;
}
/** What is to be measured. */
export interface BenchRequest extends BenchView {
    readonly short: boolean;
    /** What this machine lacks something for runs in the rig's guest. */
    readonly rig: boolean;
    /** Ends the run before the next benchmark. */
    readonly signal: AbortSignal;
    readonly onBegin: (begin: BenchBegin) => void;
    readonly onRig: ProgressListener;
}
/** What came of it. */
export interface BenchOutcome {
    readonly json: Readonly<Record<string, unknown>>;
    readonly table: {
        readonly columns: readonly Column[];
        readonly rows: readonly (readonly string[])[];
    };
    /** Lines for people, below the table. */
    readonly notes: readonly string[];
    /** Whether a benchmark did not run. */
    readonly failed: boolean;
    /** Draws it. */
    svg(): string;
}
/** What `dist/bench/command.js` exports as `bench`. */
export interface Bench {
    /** Whether the floor cannot be built here. */
    lacksCompiler(): boolean;
    /** The benchmarks that names select, the names that select none, and those that run only if they are named, which they are not. */
    list(names: readonly string[]): {
        readonly unknown: readonly string[];
        readonly onDemand: readonly string[];
        readonly benchmarks: readonly {
            readonly name: string;
            readonly what: string;
            readonly missing: string | undefined;
        }[];
    };
    /** Why a text is not what `--json` prints; undefined if it is. */
    check(text: string): string | undefined;
    run(request: BenchRequest): Promise<BenchOutcome>;
    /** Shows an earlier run again. */
    show(text: string, view: BenchView): BenchOutcome;
}
/** The subcommand. */
export declare function benchCommand(session: Session): Command;
