import { VfioError, type VfioErrorInit } from "../base/errors.js";
import type { RawInfo } from "./contract.js";
/** An answer, or the room for the next call. */
export type Attempt<T> = {
    readonly answer: T;
} | {
    readonly room: number;
};
/**
 * Asks until the answer has enough room.
 *
 * @param room for the first call
 * @param ask makes the call
 * @param refuse makes the error if no room is ever enough, from the room of the last call
 */
export declare function withEnoughRoom<T>(room: number, ask: (room: number) => Attempt<T>, refuse: (room: number) => VfioError): T;
/**
 * {@link withEnoughRoom} for an answer that carries a capability chain, and in `argsz` the room that it needs.
 *
 * @returns the answer, or `-errno`
 * @throws VfioError EIO if no room is ever enough
 */
export declare function growingInfo<Info extends RawInfo>(size: number, ask: (argsz: number) => Info | number, about: Pick<VfioErrorInit, "syscall" | "request" | "object">): Info | number;
