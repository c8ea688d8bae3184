/** A machine without an IOMMU, whose administrator has allowed VFIO's no-IOMMU mode: the package takes no device there. */
import { fileURLToPath } from "node:url";
import { beforeAll, describe, expect, test } from "vitest";
import { runInGuest } from "../../../lib/rig/index.js";

const program = fileURLToPath(new URL("no-iommu.mjs", import.meta.url));

const without = { code: "ENODEV", why: "it is in no IOMMU group: the IOMMU is off, or there is none" };
const refused = { code: "ENODEV", why: expect.stringMatching(/no-IOMMU mode .* is refused/) };

/** Every fix in what the program printed. */
function fixesIn(value: unknown): string[] {
  if (typeof value !== "object" || value === null) return [];
  return Object.entries(value).flatMap(([name, part]) =>
    name === "fix" && typeof part === "string" ? [part] : fixesIn(part),
  );
}

describe("without an IOMMU, with enable_unsafe_noiommu_mode", () => {
  let answer: Record<string, unknown>;
  beforeAll(async () => {
    const { stdout, stderr, exitCode } = await runInGuest({ iommu: "none", command: [process.execPath, program] });
    expect([stderr.toString(), exitCode]).toEqual(["", 0]);
    answer = JSON.parse(stdout.toString());
    // A boot, and a program that opens the device in every mode.
  }, 300_000);

  test("no device is bound, and its driver stays", () => {
    expect(answer).toMatchObject({
      forbidden: [
        { refusal: without, driver: "none" },
        { refusal: without, driver: "igb" },
      ],
      allowed: [
        { refusal: refused, driver: "none" },
        { refusal: refused, driver: "igb" },
      ],
      untouched: [],
    });
  });

  test("no device that somebody else has bound is attached, in any mode, nor opened", () => {
    // So that this is about that mode at all: both of the kernel's nodes are there.
    expect(answer.vfio).toEqual({
      name: "noiommu-vfio0",
      cdevPath: "/dev/vfio/devices/noiommu-vfio0",
      groupPath: "/dev/vfio/noiommu-0",
    });
    expect(answer).not.toHaveProperty("iommuGroup");
    expect(answer.attached).toMatchObject(Array(6).fill(refused));
    expect(answer.tried).toEqual(Array(5).fill("ENODEV"));
    expect(answer).toMatchObject({ leaked: false, again: refused, later: refused });
    expect(answer.opened).toEqual(Array(2).fill(expect.stringContaining("Adding kernel taint")));
    // It can be taken from that driver.
    expect(answer.freed).toBe("none");
  });

  test("the doctor says so", () => {
    const iommu = { id: "iommu", state: "problem", found: expect.stringContaining("refused") };
    expect(answer.unbound).toMatchObject({
      works: false,
      checks: expect.arrayContaining([expect.objectContaining(iommu)]),
    });
    expect(answer.bound).toMatchObject({ works: false, modes: [] });
    const group = { id: "group", state: "problem", found: expect.stringContaining("refused") };
    for (const check of [iommu, group]) {
      expect(answer.bound).toMatchObject({ checks: expect.arrayContaining([expect.objectContaining(check)]) });
    }
  });

  test("no fix leads there", () => {
    const fixes = fixesIn(answer);
    expect(fixes.length).toBeGreaterThan(10);
    expect(fixes.filter((fix) => /no-?iommu/i.test(fix))).toEqual([]);
  });
});
