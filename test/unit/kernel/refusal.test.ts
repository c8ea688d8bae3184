/** Errors of refused calls: names from the table of calls, and the caller's knowledge. The refused calls are real ones. */
import { constants } from "node:os";
import { expect, test } from "vitest";
import { errnoName, VfioError } from "../../../lib/base/errors.js";
import { nativeCalls } from "../../../lib/kernel/calls.js";
import { ask, refusal } from "../../../lib/kernel/refusal.js";

const { EBADF, EBUSY, ENOENT } = constants.errno;

test("the names and the meaning of the errno come from the table", () => {
  const error = refusal("iommufdIoasUnmap", -ENOENT, { args: { iova: 0x1000 }, object: "IOAS 1" });
  expect(error).toMatchObject({ code: "ENOENT", syscall: "ioctl", request: "IOMMU_IOAS_UNMAP", reason: "not-mapped" });
  expect(error.message).toMatch(/IOMMU_IOAS_UNMAP\(iova=0x1000\) on IOAS 1: nothing is mapped there.*\n {2}fix: unmap/);
});

test("a caller that knows why replaces the whole meaning", () => {
  const error = refusal("iommufdIoasUnmap", ENOENT, { why: "it was never mapped" });
  expect(error).toMatchObject({ why: "it was never mapped", fix: undefined, reason: "not-found" });
});

test("a call that is no ioctl has no request", () => {
  expect(refusal("memfdCreate", EBUSY)).toMatchObject({ syscall: "memfd_create", request: undefined, why: undefined });
});

test("ask() returns the answer, or throws the refusal with the caller's knowledge of the errno", () => {
  const fd = ask("eventfd", {});
  expect(ask("close", {}, fd)).toBe(0);
  const seen: number[] = [];
  const about = (errno: number) => {
    seen.push(errno);
    return { object: "eventfd" };
  };
  expect(() => ask("iommufdIoasAlloc", about, -1)).toThrow(VfioError);
  expect(seen).toEqual([EBADF]);
});

test("a wrong list of arguments is an error of the compiler", () => {
  // @ts-expect-error: the path is missing
  expect(() => ask("socketBind", {}, -1)).toThrow(TypeError);
  // @ts-expect-error: a descriptor is a number
  expect(() => ask("close", {}, "1")).toThrow(TypeError);
});

test("each errno in the table has a name that the system knows", () => {
  const names = Object.values(nativeCalls).flatMap((spec) =>
    spec.of === "kernel" ? Object.keys(spec.errnos ?? {}) : [],
  );
  const known = new Set(Object.values(constants.errno).map(errnoName));
  expect(names.filter((name) => !known.has(name))).toEqual([]);
});
