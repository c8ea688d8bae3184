import { DmaBuffer, openContainer, VfioError } from "vfio";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { bind, devices } from "./devices.js";
import { PAGE } from "./memory.js";

let bound: Disposable;

beforeAll(() => {
  bound = bind(devices.edu);
});

afterAll(() => {
  bound[Symbol.dispose]();
});

it("type1v2 notes dirty pages, and every pinned one without the IOMMU's help", () => {
  using container = openContainer({ mode: "type1v2" });
  container.attach(devices.edu);
  using buffer = DmaBuffer.allocate(70 * PAGE);
  using mapping = container.map(buffer);
  expect(() => container.dirtyPages(mapping)).toThrow(/startDirtyTracking/);
  container.startDirtyTracking();
  expect([...container.dirtyPages(mapping)]).toEqual([(1n << 64n) - 1n, 0x3fn]);
  container.stopDirtyTracking();
  expect(() => container.dirtyPages(mapping)).toThrow(VfioError);
});

describe.each([
  ["type1", "EACCES"],
  ["compat-type1", "ENOTTY"],
  ["compat-type1v2", "ENOTTY"],
] as const)("%s", (mode, code) => {
  it("refuses, and says which mode can", () => {
    using container = openContainer({ mode });
    container.attach(devices.edu);
    expect(() => container.startDirtyTracking()).toThrow(expect.objectContaining({ code }));
    expect(() => container.startDirtyTracking()).toThrow(/type1v2/);
  });
});
