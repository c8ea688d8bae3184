import { readFileSync } from "node:fs";
import { constants } from "node:os";
import { describe, expect, test } from "vitest";
import { VfioError } from "../../../lib/base/errors.js";
import { reasons } from "../../../lib/base/reasons.js";

describe("reasons", () => {
  test("docs/troubleshooting.md lists each reason with its meaning", () => {
    const text = readFileSync(new URL("../../../docs/troubleshooting.md", import.meta.url), "utf8");
    const [, section = ""] = text.split("\n## Reasons\n");
    const rows = [...(section.split("\n## ")[0] ?? "").matchAll(/^\| `([a-z-]+)` \| (.+) \|$/gm)];
    expect(Object.fromEntries(rows.map(([, reason, meaning]) => [reason, meaning]))).toEqual(reasons);
  });

  test("an error has the reason of its errno, unless its maker knows better", () => {
    const { EPERM } = constants.errno;
    expect(new VfioError({ errno: EPERM, syscall: "open" }).reason).toBe("permission-denied");
    expect(new VfioError({ errno: -EPERM, syscall: "ioctl", reason: "group-not-viable" })).toMatchObject({
      code: "EPERM",
      reason: "group-not-viable",
    });
  });

  test("an errno without a reason of its own has the reason other", () => {
    expect(new VfioError({ errno: 4095, syscall: "ioctl" }).reason).toBe("other");
  });

  test("toJSON() has the reason", () => {
    expect(new VfioError({ errno: constants.errno.EBUSY, syscall: "open" }).toJSON()).toMatchObject({ reason: "busy" });
  });
});
