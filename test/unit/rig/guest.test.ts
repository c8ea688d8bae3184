import { describe, expect, test } from "vitest";
import { RigError, tail } from "../../../lib/rig/errors.js";
import { panicText } from "../../../lib/rig/guest.js";

describe("a panic's text", () => {
  test("starts with the oops that led to it", () => {
    const log =
      "[1.0] nvme ready\n[2.0] BUG: kernel NULL pointer dereference, address: 0\n[2.1] RIP: x\n[2.2] Kernel panic - not syncing: Fatal\n[2.3] end\n";
    expect(panicText(log)).toBe(log.slice(log.indexOf("[2.0]")).trimEnd());
  });

  test("is none where the kernel lives on, warnings or not", () => {
    expect(panicText("[1.0] WARNING: CPU: 0 at drivers/x.c\n[2.0] reboot: Power down\n")).toBeUndefined();
    expect(panicText("")).toBeUndefined();
  });
});

test("a tail is the last lines", () => {
  expect(tail("a\nb\nc\n\n", 2)).toBe("b\nc");
});

test("an error carries its code, its log and its cause", () => {
  const cause = new Error("why");
  expect(new RigError("ERR_RIG_QEMU", "no", { log: "l", cause })).toMatchObject({
    code: "ERR_RIG_QEMU",
    log: "l",
    cause,
  });
  expect(new RigError("ERR_RIG_BOOT", "no").log).toBe("");
});
