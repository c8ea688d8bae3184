/**
 * Refusals of calls into the kernel as errors. The table of calls has their names and the meanings of their errnos.
 *
 * @module
 */
import { VfioError, type VfioErrorInit } from "../base/errors.js";
import { type CallName } from "./calls.js";
import { type Native } from "./native.js";
/** What a caller knows of a call: the object it was made on, arguments, and a better explanation than the table's. */
export type About = Readonly<Omit<VfioErrorInit, "errno" | "syscall" | "request">>;
type Arguments = {
    [K in keyof Native]: Parameters<Native[K]>;
};
type Results = {
    [K in keyof Native]: ReturnType<Native[K]>;
};
/** The calls whose whole answer is a number. */
export type AskedName = {
    [K in CallName]: Results[K] extends number ? K : never;
}[CallName];
/**
 * The error for a call that the kernel refused.
 *
 * The explanation (`why`, `fix`, `reason`) is the caller's where it gives a `why`, and the table's otherwise.
 *
 * @param call the function of the addon
 * @param errno positive or negative
 */
export declare function refusal(call: CallName, errno: number, about?: About): VfioError;
/**
 * Makes a call and returns its answer.
 *
 * It is for calls that are not on a fast path: those call `native` and make the {@link refusal} themselves.
 *
 * @param about what the caller knows; as a function, it is called with the positive errno of a refusal
 * @throws VfioError the refusal
 */
export declare function ask<K extends AskedName>(call: K, about: About | ((errno: number) => About), ...args: Arguments[K]): number;
export {};
