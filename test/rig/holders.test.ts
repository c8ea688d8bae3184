/** What the error says if another process, or another container, has the device that is to be attached. */
import { chmodSync, statSync } from "node:fs";
import { type ContainerMode, openContainer, type VfioError } from "vfio";
import { readIommuGroup, readMdevDevice, readVfioNodes, vfioGroupPath } from "vfio/pci";
import { describe, expect, test } from "vitest";
import { refusal } from "../helpers/refusal.js";
import { bind, devices, Mdev } from "./devices.js";
import { held } from "./held.js";

const { edu } = devices;

function attachRefusal(mode: ContainerMode, device: string): VfioError {
  return refusal(() => {
    using container = openContainer({ mode });
    container.attach(device);
  });
}

/** Lets every user open some nodes meanwhile. */
function openToAll(paths: readonly string[]): Disposable {
  const before = paths.map((path) => [path, statSync(path).mode & 0o777] as const);
  for (const path of paths) chmodSync(path, 0o666);
  return {
    [Symbol.dispose]: () => {
      for (const [path, mode] of before) chmodSync(path, mode);
    },
  };
}

function asNobody<T>(action: () => T): T {
  const { seteuid } = process;
  if (seteuid === undefined) throw new Error("this is not Linux");
  seteuid(65534);
  try {
    return action();
  } finally {
    seteuid(0);
  }
}

describe.each(["iommufd", "type1v2", "compat-type1v2"] as const)("in %s", (mode) => {
  test("a process that has the device's group open is named", async () => {
    using _bound = bind(edu);
    const group = vfioGroupPath(edu);
    await using child = await held('exec 3<>"$0"', group);
    const error = attachRefusal(mode, edu);
    expect(error).toMatchObject({ code: "EBUSY", why: `process ${child.pid} (sh) has ${group} open`, fix: /close it/ });
    expect(error.message).not.toContain("unsafe");
  });

  test("a process that has a mediated device's group open is named, too", async () => {
    using mdev = new Mdev("mtty", "1");
    const group = vfioGroupPath(mdev.uuid);
    expect(readMdevDevice(mdev.uuid).vfio?.groupPath).toBe(group);
    await using child = await held('exec 3<>"$0"', group);
    const error = attachRefusal(mode, mdev.uuid);
    expect(error).toMatchObject({ code: "EBUSY", why: `process ${child.pid} (sh) has ${group} open` });
    expect(error.message).not.toContain("unsafe");
  });
});

test.each([
  "iommufd",
  "type1v2",
] as const)("in %s, a process that this user cannot see is reported as such", async (mode) => {
  using _bound = bind(edu);
  const nodes = readVfioNodes(edu);
  const paths = ["/dev/iommu", "/dev/vfio/vfio", nodes?.cdevPath ?? "", nodes?.groupPath ?? ""];
  using _open = openToAll(paths);
  await using child = await held('exec 3<>"$0"', vfioGroupPath(edu));
  const error = asNobody(() => attachRefusal(mode, edu));
  expect(child.exitCode).toBeNull();
  expect(error).toMatchObject({ code: "EBUSY", why: /cannot be seen from here.*this user may not/, fix: /as root/ });
  expect(error.message).not.toContain("unsafe");
});

test("in iommufd, the container that has another device of the group is found", () => {
  const [first = "none", second = "none"] = devices.pair;
  using _bound = bind(first, second);
  expect(readIommuGroup(first).id).toBe(readIommuGroup(second).id);
  using other = openContainer({ mode: "iommufd" });
  using _device = other.attach(first);
  const error = attachRefusal("iommufd", second);
  const node = readVfioNodes(first)?.cdevPath ?? "";
  expect(error).toMatchObject({ code: "EPERM", why: `this process has ${node} open`, fix: /has one user/ });
  expect(error.message).not.toContain("unsafe");
});
