import { errnoName, VfioError } from "../../lib/base/errors.js";

/** What a native call answered, to compare and to read: its value, or the name of the errno. */
export function outcome(status: number | bigint): string | number | bigint {
  return typeof status === "number" && status < 0 ? errnoName(status) : status;
}

/** Runs something that must be refused by the kernel, and returns the refusal. */
export function refusal(act: () => unknown): VfioError {
  try {
    act();
  } catch (error) {
    if (error instanceof VfioError) return error;
    throw error;
  }
  throw new Error("it was not refused");
}
