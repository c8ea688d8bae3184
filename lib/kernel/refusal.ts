/**
 * Refusals of calls into the kernel as errors. The table of calls has their names and the meanings of their errnos.
 *
 * @module
 */
import { errnoName, type Meaning, VfioError, type VfioErrorInit } from "../base/errors.js";
import { type CallName, nativeCalls } from "./calls.js";
import { type Native, native } from "./native.js";

/** What a caller knows of a call: the object it was made on, arguments, and a better explanation than the table's. */
export type About = Readonly<Omit<VfioErrorInit, "errno" | "syscall" | "request">>;

type Arguments = { [K in keyof Native]: Parameters<Native[K]> };
type Results = { [K in keyof Native]: ReturnType<Native[K]> };
/** The same functions as {@link Native}, in the form in which the compiler can relate a name to its arguments. */
type Functions = { [K in keyof Native]: (...args: Arguments[K]) => Results[K] };

/** The calls whose whole answer is a number. */
export type AskedName = { [K in CallName]: Results[K] extends number ? K : never }[CallName];

const functions: Functions = native;

/** The meaning of an errno: the caller's own where it has one, or else the table's. */
function meaning(known: Meaning | undefined, about: About): Meaning {
  return about.why === undefined ? { ...known } : {};
}

/**
 * The error for a call that the kernel refused.
 *
 * The explanation (`why`, `fix`, `reason`) is the caller's where it gives a `why`, and the table's otherwise.
 *
 * @param call the function of the addon
 * @param errno positive or negative
 */
export function refusal(call: CallName, errno: number, about: About = {}): VfioError {
  const { syscall, request, errnos } = nativeCalls[call];
  return new VfioError({
    errno,
    syscall,
    ...(typeof request === "string" ? { request } : {}),
    ...meaning(errnos?.[errnoName(errno)], about),
    ...about,
  });
}

/**
 * Makes a call and returns its answer.
 *
 * It is for calls that are not on a fast path: those call `native` and make the {@link refusal} themselves.
 *
 * @param about what the caller knows; as a function, it is called with the positive errno of a refusal
 * @throws VfioError the refusal
 */
export function ask<K extends AskedName>(
  call: K,
  about: About | ((errno: number) => About),
  ...args: Arguments[K]
): number {
  const result: number = functions[call](...args);
  if (result >= 0) return result;
  throw refusal(call, result, typeof about === "function" ? about(-result) : about);
}
