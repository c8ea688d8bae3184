/** VFIO's own descriptors, looked at as a successor looks at those that it is sent: each of them, as each kind. */
import { execFileSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { dirname, join } from "node:path";
import { readIommuGroup, vfioCdevPath, vfioGroupPath } from "vfio/pci";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { OwnedFd } from "../../lib/kernel/fd.js";
import { native } from "../../lib/kernel/native.js";
import { openNode } from "../../lib/kernel/open-node.js";
import { VFIO_TYPE1v2_IOMMU } from "../../lib/kernel/uapi.js";
import { checkDescriptor, type DescriptorKind } from "../../lib/live-update/descriptor-kind.js";
import { readMdevDevice } from "../../lib/pci/index.js";
import { refusal } from "../helpers/refusal.js";
import { bind, devices, Mdev, needs } from "./devices.js";
import { resources } from "./resources.mjs";

interface Sent {
  readonly fd: OwnedFd;
  /** The kinds that it is. */
  readonly is: readonly string[];
}

let before: ReturnType<typeof resources>;
let binding: Disposable;
let mdev: Mdev;
const sent = new Map<string, Sent>();
const kinds = new Map<string, DescriptorKind>();

function made(status: number, label: string): OwnedFd {
  expect(status, label).toBeGreaterThanOrEqual(0);
  return new OwnedFd(status, label);
}

/** A container with a group in it, and a device that was opened through the group. */
function openThroughGroup(node: string, address: string): { container: OwnedFd; group: OwnedFd; device: OwnedFd } {
  const container = openNode(node);
  const group = openNode(vfioGroupPath(address));
  expect(native.vfioGroupSetContainer(group.number, container.number)).toBe(0);
  expect(native.vfioSetIommu(container.number, VFIO_TYPE1v2_IOMMU)).toBe(0);
  return { container, group, device: made(native.vfioGroupGetDeviceFd(group.number, address), address) };
}

describe("a descriptor", needs("igb", "edu", "nvme"), () => {
  beforeAll(() => {
    before = resources();
    binding = bind(devices.igb, devices.edu, devices.nvme);
    mdev = new Mdev("mtty", "1");

    const igbGroup = readIommuGroup(devices.igb).id;
    const nvmeGroup = readIommuGroup(devices.nvme).id;
    const mdevGroup = readMdevDevice(mdev.uuid).iommuGroup ?? -1;
    kinds.set("eventfd", { kind: "eventfd" });
    kinds.set("memory", { kind: "memory", length: 4096 });
    kinds.set("container", { kind: "legacy-container", compat: false });
    kinds.set("compat container", { kind: "legacy-container", compat: true });
    kinds.set("iommufd", { kind: "iommufd" });
    kinds.set("igb's group", { kind: "group", id: igbGroup });
    kinds.set("nvme's group", { kind: "group", id: nvmeGroup });
    kinds.set("mtty's group", { kind: "group", id: mdevGroup });
    for (const [name, address] of [
      ["igb", devices.igb],
      ["nvme", devices.nvme],
      ["edu", devices.edu],
      ["mtty", mdev.uuid],
    ] as const) {
      kinds.set(`${name} through its group`, { kind: "device", address, through: "group" });
      kinds.set(`${name} by its node`, { kind: "device", address, through: "cdev" });
    }

    const igb = openThroughGroup("/dev/vfio/vfio", devices.igb);
    const nvme = openThroughGroup("/dev/iommu", devices.nvme);
    const mtty = openThroughGroup("/dev/vfio/vfio", mdev.uuid);
    sent.set("eventfd", { fd: made(native.eventfd(), "eventfd"), is: ["eventfd"] });
    const memory = made(native.memfdCreate("descriptor", 0), "memfd");
    expect(native.ftruncate(memory.number, 4096)).toBe(0);
    sent.set("memory", { fd: memory, is: ["memory"] });
    sent.set("igb's container", { fd: igb.container, is: ["container"] });
    sent.set("igb's group", { fd: igb.group, is: ["igb's group"] });
    sent.set("igb", { fd: igb.device, is: ["igb through its group"] });
    // The compatibility modes' container is an iommufd that has not been used as one.
    sent.set("nvme's container", { fd: nvme.container, is: ["compat container", "iommufd"] });
    sent.set("nvme's group", { fd: nvme.group, is: ["nvme's group"] });
    sent.set("nvme", { fd: nvme.device, is: ["nvme through its group"] });
    sent.set("mtty's container", { fd: mtty.container, is: ["container"] });
    sent.set("mtty's group", { fd: mtty.group, is: ["mtty's group"] });
    sent.set("mtty", { fd: mtty.device, is: ["mtty through its group"] });
    sent.set("edu", { fd: openNode(vfioCdevPath(devices.edu)), is: ["edu by its node"] });
    // The path says nothing: a container's /dev may be anywhere.
    const elsewhere = join(mkdtempSync("/run/vfio-fd-"), "not-an-iommufd");
    execFileSync("mknod", [elsewhere, "c", ...readFileSync("/sys/class/misc/iommu/dev", "utf8").trim().split(":")]);
    sent.set("another node", { fd: openNode(elsewhere), is: ["compat container", "iommufd"] });
    rmSync(dirname(elsewhere), { recursive: true });
  });

  afterAll(() => {
    // Devices before their groups, and those before their containers.
    for (const { fd } of [...sent.values()].reverse()) fd.close();
    mdev[Symbol.dispose]();
    binding[Symbol.dispose]();
    expect(resources()).toEqual(before);
  });

  it("is what it is, and nothing else", () => {
    for (const [name, { fd, is }] of sent) {
      for (const [kind, expected] of kinds) {
        if (is.includes(kind)) checkDescriptor(fd.number, expected, `${name} as ${kind}`);
        else {
          const error = refusal(() => checkDescriptor(fd.number, expected, `${name} as ${kind}`));
          expect(error, `${name} as ${kind}`).toMatchObject({ code: "EBADF", object: `${name} as ${kind}` });
        }
      }
    }
  });

  it("that is another device is named", () => {
    const why = (name: string, kind: string): string | undefined => {
      const [{ fd }, expected] = [sent.get(name) ?? expect.unreachable(), kinds.get(kind) ?? expect.unreachable()];
      return refusal(() => checkDescriptor(fd.number, expected, "it")).why;
    };
    expect(why("igb", "nvme through its group")).toBe(
      `it must be the VFIO device ${devices.nvme}, opened through its group: it is the VFIO device ${devices.igb}`,
    );
    expect(why("mtty", "igb through its group")).toContain(`it is the VFIO device ${mdev.uuid}`);
    expect(why("edu", "mtty by its node")).toContain(`it is the VFIO device ${devices.edu}`);
    expect(why("igb", "igb by its node")).toContain("it is a VFIO device that was opened through its group");
    expect(why("igb's group", "nvme's group")).toMatch(
      /it is the character device \d+:\d+, "\/dev\/vfio\/\d+", and that is/,
    );
  });
});
