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

it("an unmap tells of the last pages, and one that is refused leaves the mapping", () => {
  using container = openContainer({ mode: "type1v2" });
  container.attach(devices.edu);
  using buffer = DmaBuffer.allocate(70 * PAGE);
  const mapping = container.map(buffer);
  expect(() => container.unmapDirty(mapping)).toThrow(expect.objectContaining({ code: "EINVAL" }));
  expect(() => container.unmapDirty(mapping)).toThrow(/startDirtyTracking.*still mapped/);
  expect(container.mappingAt(mapping.iova)).toBe(mapping);
  container.startDirtyTracking();
  expect([...container.unmapDirty(mapping)]).toEqual([(1n << 64n) - 1n, 0x3fn]);
  expect(mapping.mapped).toBe(false);
  expect(container.unmapAll().bytes).toBe(0n);
  expect(() => container.unmapDirty(mapping)).toThrow(expect.objectContaining({ code: "ERR_INVALID_STATE" }));
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
    using buffer = DmaBuffer.allocate(PAGE);
    using mapping = container.map(buffer);
    expect(() => container.unmapDirty(mapping)).toThrow(/type1v2/);
    expect(mapping.mapped).toBe(true);
  });
});
