/**
 * Requests whose answer can be longer than the room for it. The kernel says then how much it needs, and is asked again.
 *
 * @module
 */
import { constants } from "node:os";
import { VfioError, type VfioErrorInit } from "../base/errors.js";
import type { RawInfo } from "./contract.js";

/**
 * The answer can grow between two calls, by a device that is plugged in or by a range that is reserved, but not for ever.
 * A peer that always asks for more room must not keep this process busy.
 */
const MOST_CALLS = 8;

const { EIO } = constants.errno;

/** An answer, or the room for the next call. */
export type Attempt<T> = { readonly answer: T } | { readonly room: number };

/**
 * Asks until the answer has enough room.
 *
 * @param room for the first call
 * @param ask makes the call
 * @param refuse makes the error if no room is ever enough, from the room of the last call
 */
export function withEnoughRoom<T>(
  room: number,
  ask: (room: number) => Attempt<T>,
  refuse: (room: number) => VfioError,
): T {
  let next = room;
  for (let call = 0; call < MOST_CALLS; call++) {
    const attempt = ask(next);
    if ("answer" in attempt) return attempt.answer;
    next = attempt.room;
  }
  throw refuse(next);
}

/**
 * {@link withEnoughRoom} for an answer that carries a capability chain, and in `argsz` the room that it needs.
 *
 * @returns the answer, or `-errno`
 * @throws VfioError EIO if no room is ever enough
 */
export function growingInfo<Info extends RawInfo>(
  size: number,
  ask: (argsz: number) => Info | number,
  about: Pick<VfioErrorInit, "syscall" | "request" | "object">,
): Info | number {
  return withEnoughRoom<Info | number>(
    size,
    (argsz) => {
      const info = ask(argsz);
      return typeof info === "number" || info.argsz <= argsz ? { answer: info } : { room: info.argsz };
    },
    (argsz) =>
      new VfioError({
        ...about,
        errno: EIO,
        args: { argsz },
        why: `the answer needed more room than there was ${MOST_CALLS} times`,
      }),
  );
}
