/**
 * Every function of the addon: which call into the kernel it makes, and what its arguments are.
 *
 * @module
 */
import type { Native } from "./native.js";
import { type Show } from "./values.js";
/** An argument: its name, how it is shown, and whether it is only filled in by the call. */
export type ArgumentSpec = readonly [name: string, show: Show, filled?: "filled"];
/** A function that is one call into the kernel, or (`register`) one access to registers. */
export interface CallSpec {
    readonly of: "kernel" | "register";
    readonly syscall: string;
    readonly request?: string | ((args: readonly unknown[]) => string);
    readonly args: readonly ArgumentSpec[];
    /** Whether the arguments behind the first are those of a structure. */
    readonly structure: boolean;
    /** How a result is shown that is no refusal; "" for a function without one. */
    readonly result: Show;
    /** The program ends with it, unless it is refused: it is told before. */
    readonly ends?: true;
}
/** A function that makes many calls, each of which is told as if it were on its own. */
export interface BatchSpec {
    readonly of: "batch";
    /** The calls, from the addon's arguments. */
    split(args: readonly unknown[]): readonly {
        readonly name: keyof Native;
        readonly args: readonly unknown[];
    }[];
    /** The errno of the call that failed, once it has. */
    failure(args: readonly unknown[]): number;
    /** What such a call answers when it is made on its own. */
    answer(args: readonly unknown[]): number | bigint;
}
/** A function that does not ask the kernel for anything: it reads what the addon or libuv has. */
export interface LocalSpec {
    readonly of: "process";
}
/** Every function of the addon. */
export declare const nativeCalls: Readonly<Record<keyof Native, CallSpec | BatchSpec | LocalSpec>>;
