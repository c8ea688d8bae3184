/**
 * What the library does when the kernel has no memory: its work, with the first allocation that the kernel makes for a
 * call failing, then the second, and so on through to the end, call by call. Each time it either gets through or throws
 * one error that says which request failed, and leaves nothing behind: no descriptor, no locked or pinned page, no
 * device that is taken.
 *
 * The kernel must have been built with CONFIG_FAILSLAB; its own test of this kind is
 * tools/testing/selftests/iommu/iommufd_fail_nth.c, which looks for damage in the kernel only.
 */
import { execFile } from "node:child_process";
import { existsSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { afterAll, beforeAll, expect, it } from "vitest";
import { bind, devices } from "./devices.js";

interface Failure {
  readonly call: number;
  readonly nth: number;
  readonly name: string;
  readonly code: string;
  readonly request: string;
  readonly message: string;
}

interface Sweep {
  /** How often the work was tried: for every allocation of every call, and once more for every call. */
  readonly swept: number;
  readonly failures: readonly Failure[];
  /** What was not as before. */
  readonly damage: readonly unknown[];
}

const script = fileURLToPath(new URL("fail-nth.mjs", import.meta.url));
const debug = "/sys/kernel/debug";

// By default only allocations that cannot wait fail, and every failure is logged.
const settings = { "ignore-gfp-wait": "N", "ignore-gfp-highmem": "N", verbose: "0" };
const saved = new Map<string, string>();
let binding: Disposable;

beforeAll(() => {
  for (const fault of readdirSync(debug).filter((name) => name.startsWith("fail"))) {
    for (const [name, value] of Object.entries(settings)) {
      const path = join(debug, fault, name);
      if (!existsSync(path)) continue;
      saved.set(path, readFileSync(path, "latin1"));
      writeFileSync(path, value);
    }
  }
  // A device without an interrupt pin: ACPI's search for where a pin leads does not survive a failed allocation.
  binding = bind(devices.ivshmem);
});

afterAll(() => {
  binding[Symbol.dispose]();
  for (const [path, value] of saved) writeFileSync(path, value);
});

async function sweep(work: string): Promise<Sweep> {
  const engine = ["--jitless", "--expose-gc", "--min-semi-space-size=32", "--max-semi-space-size=32"];
  const args = [...engine, script, work, devices.ivshmem];
  const { stdout } = await promisify(execFile)(process.execPath, args, { maxBuffer: 1 << 26 });
  return JSON.parse(stdout);
}

// The mock that comes with the rig's kernel makes iommufd fail in other ways, too: an object that is not found, memory
// that is not there, reserved regions that cannot be had. What an unmap then did not remove is an EIO of the library's.
const anywhere = ["ENOMEM"];
const inIommufd = ["ENOMEM", "ENOENT", "EFAULT", "EINVAL", "EIO"];

it.each([
  {
    work: "address space",
    codes: inIommufd,
    requests: ["open", "IOMMU_IOAS_ALLOC", "IOMMU_IOAS_MAP", "IOMMU_IOAS_MAP_FILE", "IOMMU_IOAS_COPY"],
  },
  ...["type1", "type1v2"].map((work) => ({
    work,
    codes: anywhere,
    requests: ["open", "VFIO_SET_IOMMU", "VFIO_GROUP_GET_DEVICE_FD", "VFIO_IOMMU_GET_INFO", "VFIO_IOMMU_MAP_DMA"],
  })),
  ...["compat-type1", "compat-type1v2"].map((work) => ({
    work,
    codes: inIommufd,
    requests: ["open", "VFIO_GROUP_SET_CONTAINER", "VFIO_GROUP_GET_DEVICE_FD", "VFIO_IOMMU_MAP_DMA"],
  })),
  {
    work: "iommufd",
    codes: inIommufd,
    requests: ["open", "IOMMU_IOAS_ALLOC", "VFIO_DEVICE_BIND_IOMMUFD", "VFIO_DEVICE_ATTACH_IOMMUFD_PT"],
  },
])("without memory, $work", { timeout: 180_000 }, async ({ work, codes, requests }) => {
  const { swept, failures, damage } = await sweep(work);
  expect(damage).toEqual([]);
  expect(swept).toBeGreaterThan(20);
  for (const failure of failures) {
    expect(failure).toMatchObject({ name: "VfioError", code: expect.toBeOneOf(codes) });
  }
  // It was seen to fail at every stage.
  const out = new Set(failures.filter(({ code }) => code === "ENOMEM").map(({ request }) => request));
  expect([...out]).toEqual(expect.arrayContaining(requests));
});
