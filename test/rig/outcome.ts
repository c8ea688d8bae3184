import { errnoName } from "../../lib/base/errors.js";

/** What a native call answered, to compare and to read: its value, or the name of the errno. */
export function outcome(status: number | bigint): string | number | bigint {
  return typeof status === "number" && status < 0 ? errnoName(status) : status;
}
