/** The edu device, driven by examples/edu.ts in every container mode. */
import { openContainer } from "vfio";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { Edu } from "../../examples/edu.js";
import { bind, devices, needs } from "./devices.js";
import { eduTests } from "./edu-tests.js";
import { modes } from "./modes.js";
import { resources } from "./resources.mjs";

let binding: Disposable;
beforeAll(() => {
  binding = bind(devices.edu);
});
afterAll(() => binding[Symbol.dispose]());

describe.each(modes)("edu in mode %s", (mode) => {
  eduTests(() => openContainer({ mode }), devices.edu);
});

test("a device that is no edu is refused, and nothing stays open", needs("ivshmem"), () => {
  using _ = bind(devices.ivshmem);
  const before = resources();
  {
    using container = openContainer();
    expect(() => Edu.open(container, devices.ivshmem)).toThrow(/no edu device/);
    expect(container.devices.size).toBe(0);
  }
  expect(resources()).toEqual(before);
});
