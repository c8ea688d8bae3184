import { mkdtempSync, openSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, describe, expect, it } from "vitest";
import type { VfioError } from "../../../lib/base/errors.js";
import { OwnedFd } from "../../../lib/kernel/fd.js";
import { native } from "../../../lib/kernel/native.js";
import { UnixSocket } from "../../../lib/kernel/unix-socket.js";
import { checkDescriptor, type DescriptorKind } from "../../../lib/live-update/descriptor-kind.js";
import { DmaBuffer } from "../../../lib/memory/dma-buffer.js";
import { refusal } from "../../helpers/refusal.js";
import { Tree } from "../pci/tree.js";

const eventfd: DescriptorKind = { kind: "eventfd" };
const page: DescriptorKind = { kind: "memory", length: 4096 };

const opened: OwnedFd[] = [];
afterAll(() => {
  for (const fd of opened) fd.close();
});

/** A descriptor that is open for as long as the tests run. */
function open(path: string, flags = "r+"): number {
  const fd = OwnedFd.adopt(openSync(path, flags), path);
  opened.push(fd);
  return fd.number;
}

function makeEventfd(): number {
  const fd = new OwnedFd(native.eventfd(), "eventfd");
  opened.push(fd);
  return fd.number;
}

function kindRefusal(fd: number, expected: DescriptorKind, sysfs?: string): VfioError {
  const error = refusal(() => checkDescriptor(fd, expected, "the thing", sysfs === undefined ? {} : { sysfs }));
  expect(error).toMatchObject({ code: "EBADF", object: "the thing", args: { fd } });
  return error;
}

describe("a descriptor's kind", () => {
  it("takes what it says", () => {
    const fd = makeEventfd();
    checkDescriptor(fd, eventfd, "it");
    checkDescriptor(fd, { kind: "any" }, "it");
    checkDescriptor(open("/dev/null"), { kind: "any" }, "it");
    using buffer = DmaBuffer.allocate(8192);
    const memory = buffer.backing()?.fd ?? -1;
    checkDescriptor(memory, page, "it");
    checkDescriptor(memory, { kind: "memory", length: 8192 }, "it");
  });

  it("refuses what is not open", () => {
    const fd = 0x7fff_0000;
    for (const kind of [eventfd, page, { kind: "any" }, { kind: "iommufd" }] as const) {
      expect(kindRefusal(fd, kind).why).toContain(`${fd} is no open descriptor of this process`);
    }
  });

  it("refuses an eventfd where memory, a container, a group or a device should be", () => {
    const fd = makeEventfd();
    for (const [kind, words] of [
      [page, "a memory file of 4096 bytes or more"],
      [{ kind: "legacy-container", compat: false }, "a container, /dev/vfio/vfio"],
      [{ kind: "legacy-container", compat: true }, "a container, /dev/iommu"],
      [{ kind: "iommufd" }, "an iommufd, /dev/iommu"],
      [{ kind: "group", id: 12 }, "the group /dev/vfio/12"],
      [{ kind: "device", address: "0000:01:00.0", through: "group" }, "the VFIO device 0000:01:00.0, opened through"],
      [{ kind: "device", address: "0000:01:00.0", through: "cdev" }, "the VFIO device 0000:01:00.0, opened by its own"],
    ] as const) {
      const { why } = kindRefusal(fd, kind);
      expect(why).toContain(`it must be ${words}`);
      expect(why).toContain("it is an eventfd");
    }
  });

  it("refuses files, sockets, directories and devices where an eventfd should be", () => {
    expect(kindRefusal(open(fileURLToPath(import.meta.url), "r"), eventfd).why).toMatch(
      /a file of \d+ bytes, ".*test\.ts"/,
    );
    expect(kindRefusal(open(".", "r"), eventfd).why).toContain("a directory, ");
    expect(kindRefusal(open("/dev/null"), eventfd).why).toContain('the character device 1:3, "/dev/null"');
    const [near, far] = UnixSocket.pair("stream");
    expect(kindRefusal(near.fd, eventfd).why).toContain("it is a socket");
    near.close();
    far.close();
  });

  it("takes a socket for a socket, and nothing else for one", () => {
    const [near, far] = UnixSocket.pair("stream");
    checkDescriptor(near.fd, { kind: "socket" }, "it");
    near.close();
    far.close();
    expect(kindRefusal(makeEventfd(), { kind: "socket" }).why).toBe("it must be a socket: it is an eventfd");
    expect(kindRefusal(open("/dev/null"), { kind: "socket" }).why).toContain(
      "it must be a socket: it is the character device",
    );
  });

  it("is not taken in by a file's name", () => {
    const directory = mkdtempSync(join(tmpdir(), "vfio-fd-"));
    try {
      const path = join(directory, "anon_inode:[eventfd]");
      writeFileSync(path, "");
      expect(kindRefusal(open(path), eventfd).why).toContain("a file of 0 bytes");
      const escaping = join(directory, "memfd:\u001b[2J");
      writeFileSync(escaping, "x");
      const { message } = kindRefusal(open(escaping), eventfd);
      expect(message).not.toContain("\u001b");
    } finally {
      rmSync(directory, { recursive: true });
    }
  });
});

describe("a memory file", () => {
  it("is as long as it must be", () => {
    using memfd = new OwnedFd(native.memfdCreate("ram", 0), "memfd");
    const fd = memfd.number;
    expect(native.ftruncate(fd, 4096)).toBe(0);
    expect(kindRefusal(fd, { kind: "memory", length: 4097 }).why).toMatch(
      /^it must be a memory file of 4097 bytes or more: it is a file of 4096 bytes, "\/memfd:/,
    );
    expect(native.ftruncate(fd, 8192)).toBe(0);
    checkDescriptor(fd, { kind: "memory", length: 8192 }, "it");
  });

  it("is in memory", () => {
    expect(kindRefusal(open(fileURLToPath(import.meta.url), "r"), { kind: "memory", length: 1 }).why).toContain(
      "which is not in memory",
    );
  });

  it("can be written", () => {
    using buffer = DmaBuffer.allocate(4096);
    const fd = open(`/proc/self/fd/${buffer.backing()?.fd}`, "r");
    expect(kindRefusal(fd, page).why).toContain("it is not open for reading and writing");
  });

  it("can have a name in a memory file system", () => {
    const directory = mkdtempSync("/dev/shm/vfio-fd-");
    try {
      const path = join(directory, "ram");
      writeFileSync(path, new Uint8Array(4096));
      checkDescriptor(open(path), page, "it");
    } finally {
      rmSync(directory, { recursive: true });
    }
  });
});

// Any device's node can play the part of VFIO's where sysfs says that they have the same number. With VFIO's own:
// test/rig/descriptor-kind.test.ts.
describe("a device number", () => {
  const null13 = open("/dev/null");
  const zero15 = open("/dev/zero");

  it.each<[DescriptorKind, string]>([
    [{ kind: "legacy-container", compat: false }, "class/misc/vfio/dev"],
    [{ kind: "legacy-container", compat: true }, "class/misc/iommu/dev"],
    [{ kind: "iommufd" }, "class/misc/iommu/dev"],
    [{ kind: "group", id: 12 }, "class/vfio/12/dev"],
  ])("of %o is compared with the kernel's", (kind, attribute) => {
    using tree = new Tree();
    const { sysfs } = tree.paths;
    expect(kindRefusal(null13, kind, sysfs).why).toContain(`/sys/${attribute}`);
    tree.file(`sys/${attribute}`, "1:3\n");
    checkDescriptor(null13, kind, "it", { sysfs });
    expect(kindRefusal(zero15, kind, sysfs).why).toContain(
      'it is the character device 1:5, "/dev/zero", and that is the character device 1:3',
    );
    tree.file("sys/class/vfio/13/dev", "1:5\n");
    kindRefusal(zero15, kind, sysfs);
  });

  it("of a device's own node leads to exactly that device", () => {
    using tree = new Tree();
    const { sysfs } = tree.paths;
    const kind: DescriptorKind = { kind: "device", address: "0000:01:00.0", through: "cdev" };
    expect(kindRefusal(null13, kind, sysfs).why).toContain("there is no ");
    const place = tree.pci("0000:01:00.0", { driver: "vfio-pci" });
    expect(kindRefusal(null13, kind, sysfs).why).toContain('it is the character device 1:3, "/dev/null"');
    for (const [address, number] of [
      ["0000:01:00.0", "1:3"],
      ["0000:02:00.0", "1:5"],
    ] as const) {
      tree.file(`${tree.pci(address)}/vfio-dev/vfio0/dev`, `${number}\n`);
      tree.link(`sys/dev/char/${number}`, `sys/devices/pci0000:00/${address}/vfio-dev/vfio0`);
    }
    checkDescriptor(null13, kind, "it", { sysfs });
    expect(kindRefusal(zero15, kind, sysfs).why).toContain("it is the VFIO device 0000:02:00.0");
    // A device below, with a node that is not VFIO's.
    tree.link("sys/dev/char/1:3", place);
    kindRefusal(null13, kind, sysfs);
  });
});
