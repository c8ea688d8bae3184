/** Every rule of a manifest, broken once: both by its writer and for its reader. */
import { describe, expect, it } from "vitest";
import type { VfioError } from "../../../lib/base/errors.js";
import { decodeFrozen, encodeFrozen, type FrozenPart } from "../../../lib/live-update/manifest/frozen.js";
import {
  decodeManifest,
  encodeManifest,
  type Manifest,
  writeManifest,
} from "../../../lib/live-update/manifest/manifest.js";
import { refusal } from "../../helpers/refusal.js";
import { frozenSample, type Mutable, sample } from "./manifests.js";

type Broken = Mutable<Manifest>;
type Case = readonly [rule: string, why: string, breakIt: (manifest: Broken) => void];

function broken(breakIt: (manifest: Broken) => void): Broken {
  const { manifest } = sample();
  breakIt(manifest);
  return manifest;
}

function writerRefuses(breakIt: (manifest: Broken) => void): VfioError {
  const error = refusal(() => encodeManifest(broken(breakIt)));
  expect(error).toMatchObject({ code: "EINVAL", syscall: "encode", object: "the manifest" });
  return error;
}

function readerRefuses(breakIt: (manifest: Broken) => void): VfioError {
  const error = refusal(() => decodeManifest(writeManifest(broken(breakIt)), sample().descriptorCount));
  expect(error).toMatchObject({ syscall: "decode", object: "the manifest" });
  expect(["EINVAL", "EPROTO"]).toContain(error.code);
  expect(error.fix).toBeTypeOf("string");
  return error;
}

function at<T>(items: readonly T[], index: number): T {
  const item = items[index];
  if (item === undefined) throw new Error(`the sample has no ${index}`);
  return item;
}

const vm = ({ containers }: Broken) => at(containers, 0);
const swift = ({ containers }: Broken) => at(containers, 1);
const igb = (manifest: Broken) => at(vm(manifest).devices, 0);
const edu = (manifest: Broken) => at(vm(manifest).devices, 1);
const nvme = (manifest: Broken) => at(swift(manifest).devices, 0);
const msix = (manifest: Broken) => at(igb(manifest).irqs, 0);
const disk = ({ sockets }: Broken) => at(sockets, 0);
const toy = ({ sockets }: Broken) => at(sockets, 1);
const region = (manifest: Broken, index = 0) => at(disk(manifest).port.regions, index);
const irqInfo = (manifest: Broken, index = 0) => at(disk(manifest).port.irqs, index);
const mapping = (manifest: Broken, index = 0) => at(vm(manifest).mappings, index);

function file({ memory }: Broken, index = 0) {
  const item = at(memory, index);
  if (item.kind !== "file") throw new Error("no file");
  return item;
}

function bar({ memory }: Broken) {
  const item = at(memory, 2);
  if (item.kind !== "bar") throw new Error("no BAR");
  return item;
}

function messages({ connections }: Broken, index = 0) {
  const connection = at(connections, index);
  if (connection.kind === "intx") throw new Error("no messages");
  return connection;
}

function line({ connections }: Broken) {
  const connection = at(connections, 1);
  if (connection.kind !== "intx") throw new Error("no line");
  return connection;
}

/** Those that a writer can break and a reader can be sent. */
const cases: readonly Case[] = [
  // Names.
  ["a container's name twice", 'container "vm" is there twice', (m) => (swift(m).name = "vm")],
  ["a memory's name twice", 'memory "ram" is there twice', (m) => (file(m, 1).name = "ram")],
  ["a descriptor's name twice", 'descriptor "log" is there twice', (m) => (at(m.descriptors, 1).name = "log")],
  ["a container without a name", 'field "name" of container "" is empty', (m) => (swift(m).name = "")],
  ["a memory with an empty name", 'field "name" of memory "" is empty', (m) => (file(m).name = "")],
  ["a descriptor without a name", 'field "name" of descriptor "" is empty', (m) => (at(m.descriptors, 0).name = "")],
  [
    "a machine without a name",
    'field "machine" of the connection of intx of .* is empty',
    (m) => (line(m).machine = ""),
  ],
  ["a name with a NUL", "has a NUL in it", (m) => (at(m.descriptors, 0).name = "a\0b")],
  ["a name too long", "is 5000 bytes long, more than 4096", (m) => (at(m.descriptors, 0).name = "x".repeat(5000))],

  // Devices, groups, containers.
  ["a device twice in a container", 'device "0000:01:00.0" is there twice', (m) => (edu(m).address = "0000:01:00.0")],
  ["a device in two containers", 'device "0000:01:00.0" is there twice', (m) => (nvme(m).address = "0000:01:00.0")],
  ["a short PCI address", "has neither a PCI address", (m) => (nvme(m).address = "02:00.0")],
  ["a PCI address in capitals", "has neither a PCI address", (m) => (nvme(m).address = "0000:0A:00.0")],
  ["a PCI address with device 20", "has neither a PCI address", (m) => (nvme(m).address = "0000:02:20.0")],
  ["a path for an address", "has neither a PCI address", (m) => (nvme(m).address = "../../etc")],
  ["no address", "has neither a PCI address", (m) => (nvme(m).address = "")],
  ["a name like a UUID", "nor a UUID", (m) => (nvme(m).address = "83b8f4f2-509f-382f-3c1e-e6bfe0fa100g")],
  ["a UUID in capitals", "nor a UUID", (m) => (nvme(m).address = "83B8F4F2-509F-382F-3C1E-E6BFE0FA1002")],
  ["a group twice", "group 11 is there twice", (m) => (at(vm(m).groups, 1).id = 11)],
  ["a group without a device", 'group 14 in container "vm" has no device', (m) => (edu(m).group = 11)],
  ["a device of an unknown group", "is of group 99, which its container does not have", (m) => (edu(m).group = 99)],
  [
    "a device without a group",
    'field "group" of device .* is undefined|field "group" is missing',
    (m) => (edu(m).group = undefined),
  ],
  [
    "an iommufd without an address space",
    'field "ioas" of container "swift" is undefined|field "ioas" is missing',
    (m) => (swift(m).ioas = undefined),
  ],
  [
    "an iommufd's device without an id",
    'field "iommufdId" of device .* is undefined|field "iommufdId" is missing',
    (m) => (nvme(m).iommufdId = undefined),
  ],
  [
    "an iommufd's device without a page table",
    'field "pageTableId" of device .* is undefined|field "pageTableId" is missing',
    (m) => (nvme(m).pageTableId = undefined),
  ],
  ["an iommufd's id twice", 'device id 4 in container "swift" is there twice', (m) => (nvme(m).iommufdId = 4)],

  // Interrupts.
  [
    "a kind of interrupt twice",
    'err of device "0000:01:00.0" in container "vm" is there twice',
    (m) => (at(igb(m).irqs, 2).kind = "err"),
  ],
  ["msix and intx at once", "msix and intx of device .* are both on", (m) => (at(igb(m).irqs, 1).kind = "intx")],
  [
    "msi and msix at once",
    "msix and msi of device .* are both on",
    (m) => Object.assign(at(igb(m).irqs, 1), { kind: "msi", allocated: 1 }),
  ],
  ["a vector twice", "vector 1 of msix of device .* is there twice", (m) => (at(msix(m).vectors, 0).index = 1)],
  [
    "a vector that MSI-X cannot have",
    "the index of a vector of msix of .* is 2048, not an integer from 0 to 2047",
    (m) => (at(msix(m).vectors, 2).index = 2048),
  ],
  [
    "a vector that MSI cannot have",
    "the index of a vector of msi of .* is 32",
    (m) => (at(at(nvme(m).irqs, 0).vectors, 1).index = 32),
  ],
  [
    "a second line",
    "the index of a vector of intx of .* is 1, not an integer from 0 to 0",
    (m) => (at(at(edu(m).irqs, 0).vectors, 0).index = 1),
  ],
  [
    "more vectors set aside than there can be",
    "2049 vectors are set aside for msix of .*, not 1 to 2048",
    (m) => (msix(m).allocated = 2049),
  ],
  ["no vectors set aside", "0 vectors are set aside for msix of .*, not 1 to 2048", (m) => (msix(m).allocated = 0)],
  [
    "vectors set aside for a line",
    "1 vectors are set aside for intx of .*, not 0 to 0",
    (m) => (at(edu(m).irqs, 0).allocated = 1),
  ],
  ["an interrupt without a vector", "msix of .* is on without a vector", (m) => (msix(m).vectors = [])],
  ["an unmask eventfd of MSI-X", "msix of .* has an unmask eventfd", (m) => (msix(m).unmask = 0)],
  [
    "an ioeventfd twice",
    "the ioeventfd at 0x3810 in region 0 of .* is there twice",
    (m) => igb(m).ioeventfds.push({ ...at(igb(m).ioeventfds, 0) }),
  ],
  [
    "an ioeventfd of a wrong width",
    'field "width" .* is 3, not 1, 2, 4 or 8',
    (m) => Object.assign(at(igb(m).ioeventfds, 0), { width: 3 }),
  ],
  [
    "an ioeventfd's value that is too wide",
    "writes 0x100000000, more than its 4 bytes can hold",
    (m) => (at(igb(m).ioeventfds, 0).value = 1n << 32n),
  ],

  // vfio-user containers.
  ["a vfio-user container's name twice", 'container "disk" is there twice', (m) => (toy(m).name = "disk")],
  ["a name of both sorts of container", 'container "vm" is there twice', (m) => (toy(m).name = "vm")],
  ["a vfio-user container without a name", 'field "name" of container "" is empty', (m) => (disk(m).name = "")],
  ["a vfio-user device without a name", 'field "address" of container "disk" is empty', (m) => (disk(m).address = "")],
  ["a vfio-user device's name with a NUL", "has a NUL in it", (m) => (disk(m).address = "\0edu")],
  ["an empty path", 'field "path" of container "disk" is empty', (m) => (disk(m).path = "")],
  ["an empty abstract name", 'field "path" of container "disk" is empty', (m) => (disk(m).path = "\0")],
  ["a path with a NUL", "has a NUL in it", (m) => (disk(m).path = "/run/a\0b")],
  ["an abstract name with a NUL", "has a NUL in it", (m) => (disk(m).path = "\0\0b")],
  ["a path too long", "is 4097 bytes long, more than 4096", (m) => (disk(m).path = `/${"x".repeat(4096)}`)],
  [
    "no time for an answer",
    'field "timeout" of container "disk" is 0, not an integer from 1',
    (m) => (disk(m).timeout = 0),
  ],
  [
    "a timeout that no timer has",
    'field "timeout" of .* is 2147483648, not an integer from 1 to 2147483647',
    (m) => (disk(m).timeout = 2 ** 31),
  ],
  [
    "more descriptors in a message than the kernel takes",
    'field "maxFds" of .* is 254, not an integer from 0 to 253',
    (m) => (disk(m).agreement.maxFds = 254),
  ],
  [
    "accesses of no bytes",
    'field "maxTransfer" of .* is 0, not an integer from 1',
    (m) => (disk(m).agreement.maxTransfer = 0),
  ],
  [
    "accesses of too many bytes",
    'field "maxTransfer" of .* is 4294967296',
    (m) => (disk(m).agreement.maxTransfer = 2 ** 32),
  ],
  ["no page sizes", 'field "pageSizes" of .* is 0, not an integer from 1', (m) => (disk(m).agreement.pageSizes = 0n)],
  [
    "a region that is not described",
    'container "disk" says 3 regions and 3 kinds of interrupt, and describes others',
    (m) => disk(m).port.regions.pop(),
  ],
  [
    "a region too many",
    'container "disk" says 2 regions and 3 kinds of interrupt, and describes others',
    (m) => (disk(m).port.numRegions = 2),
  ],
  [
    "a kind of interrupt that is not described",
    'container "disk" says 3 regions and 3 kinds of interrupt, and describes others',
    (m) => disk(m).port.irqs.pop(),
  ],
  [
    "a kind of interrupt too many",
    'container "disk" says 3 regions and 2 kinds of interrupt, and describes others',
    (m) => (disk(m).port.numIrqs = 2),
  ],
  ["regions out of order", 'region 2 in container "disk" stands at place 0', (m) => disk(m).port.regions.reverse()],
  ["a region twice", 'region 0 in container "disk" stands at place 1', (m) => (region(m, 1).index = 0)],
  [
    "kinds of interrupt out of order",
    'kind of interrupt 2 in container "disk" stands at place 0',
    (m) => disk(m).port.irqs.reverse(),
  ],
  [
    "a region's errno that is none",
    'field "status" of region 2 in .* is -4096, not an integer from -4095 to 0',
    (m) => (region(m, 2).status = -4096),
  ],
  [
    "an interrupt's errno that is none",
    'field "status" of kind of interrupt 1 in .* is -4294967295, not an integer from -4095 to 0',
    (m) => (irqInfo(m, 1).status = -0xffff_ffff),
  ],
  [
    "a region's answer that is too long",
    'field "bytes" of region 1 in container "disk" is 65537 bytes long',
    (m) => (region(m, 1).bytes = new Uint8Array(65537)),
  ],
  [
    "a file of a region that was refused",
    'region 0 in container "disk" was refused, and has a file',
    (m) => (region(m).status = -22),
  ],
  [
    "posted writes to a region that is not there",
    'field "posted" .* has 4 items, more than 3',
    (m) => (disk(m).port.posted = [true, false, true, true]),
  ],
  [
    "a vfio-user device's vector twice",
    'vector 1 of msix of the device of container "disk" is there twice',
    (m) => (at(at(disk(m).device.irqs, 0).vectors, 0).index = 1),
  ],
  [
    "a vfio-user device's kind of interrupt twice",
    'intx of the device of container "toy" is there twice',
    (m) => toy(m).device.irqs.push({ ...at(toy(m).device.irqs, 0), unmask: undefined }),
  ],
  [
    "a vfio-user device's interrupt without a vector",
    "intx of .* is on without a vector",
    (m) => (at(toy(m).device.irqs, 0).vectors = []),
  ],

  // Memory.
  ["memory of no length", 'field "length" of memory "ram" is 0', (m) => (file(m).length = 0)],
  [
    "memory that is not in pages",
    'field "length" of memory "ram" is 0x1388, not a multiple of 4096',
    (m) => (file(m).length = 5000),
  ],
  ["memory that is not in its own pages", "not a multiple of its page size, 2097152", (m) => (file(m).length = 4096)],
  [
    "pages of an odd size",
    'the page size of memory "ram" is 12288, not a power of two',
    (m) => (file(m).pageSize = 12288),
  ],
  [
    "pages smaller than pages",
    'field "pageSize" of memory "ram" is 0x200, not a multiple of 4096',
    (m) => (file(m).pageSize = 512),
  ],
  ["a BAR of an unknown container", 'is of container "other", which is not there', (m) => (bar(m).container = "other")],
  [
    "a BAR of an unknown device",
    'is of device "0000:09:00.0", which container "vm" does not have',
    (m) => (bar(m).device = "0000:09:00.0"),
  ],
  ["a BAR of another container's device", 'which container "swift" does not have', (m) => (bar(m).container = "swift")],
  [
    "a BAR's part that is not in pages",
    'field "offset" of memory 2 .* is 0x800, not a multiple',
    (m) => (bar(m).offset = 2048),
  ],

  // Mappings.
  ["a mapping of no memory", "is of memory 3, and there are 3", (m) => (mapping(m).memory = 3)],
  [
    "a mapping past its memory",
    'ends at 0x100001000 in memory "ram", which is 0x100000000 bytes long',
    (m) => (mapping(m, 2).offset += 4096),
  ],
  [
    "a mapping of no length",
    'the length of the mapping at IOVA 0x0 in container "vm" is 0',
    (m) => (mapping(m).length = 0),
  ],
  [
    "a length that is not in pages",
    "the length of the mapping at IOVA 0x0 .* is 0x7ff, not a multiple of 4096",
    (m) => (mapping(m).length = 2047),
  ],
  [
    "an offset that is not in pages",
    "the offset of the mapping at IOVA 0x0 .* is 0x200",
    (m) => (mapping(m).offset = 512),
  ],
  [
    "an IOVA that is not in pages",
    "the mapping at IOVA 0x1 .* is not at a multiple of 4096",
    (m) => (mapping(m).iova = 1n),
  ],
  [
    "mappings that overlap",
    'two mappings in container "vm" overlap at IOVA 0xfff00000',
    (m) => (mapping(m).length = 4 * 2 ** 30),
  ],
  [
    "mappings that overlap out of order",
    'two mappings in container "vm" overlap at IOVA 0x1000',
    (m) => (mapping(m, 3).iova = 0x1000n),
  ],
  [
    "a mapping twice",
    'two mappings in container "vm" overlap at IOVA 0x0',
    (m) => vm(m).mappings.push({ ...mapping(m) }),
  ],
  [
    "an IOVA that wraps",
    "goes on past the end of the address space",
    (m) => Object.assign(mapping(m, 3), { length: 8192, offset: 0 }),
  ],
  [
    "a mapping for nothing",
    "can be neither read nor written",
    (m) => Object.assign(mapping(m), { read: false, write: false }),
  ],
  [
    "a BAR in an iommufd",
    "which a container in mode iommufd does not map by its address",
    (m) => (at(swift(m).mappings, 0).memory = 2),
  ],
  [
    "a BAR in a compatibility mode",
    "which a container in mode compat-type1v2 does not map by its address",
    (m) => (vm(m).mode = "compat-type1v2"),
  ],
  [
    "a BAR in a vfio-user container",
    "which a container in mode vfio-user does not map by its address",
    (m) => (at(disk(m).mappings, 1).memory = 2),
  ],
  [
    "mappings of a vfio-user container that overlap",
    'two mappings in container "disk" overlap at IOVA 0x1000',
    (m) => (at(disk(m).mappings, 1).iova = 0x1000n),
  ],
  [
    "a mapping of no memory in a vfio-user container",
    "is of memory 3, and there are 3",
    (m) => (at(disk(m).mappings, 0).memory = 3),
  ],

  // Connections.
  ["a connection twice", "has vector 0, which is connected already", (m) => m.connections.push(messages(m))],
  [
    "a vector to two guests",
    "has vector 0, which is connected already",
    (m) => m.connections.push({ ...messages(m), machine: "guest 2" }),
  ],
  [
    "a line to two guests",
    "has vector 0, which is connected already",
    (m) => m.connections.push({ ...line(m), machine: "guest 2" }),
  ],
  [
    "a vector twice in a connection",
    "has vector 7, which is connected already",
    (m) => (at(messages(m).vectors, 0).index = 7),
  ],
  [
    "a connection of an unknown container",
    'is of container "other", which is not there',
    (m) => (messages(m).container = "other"),
  ],
  [
    "a connection of an unknown device",
    'is of device "0000:09:00.0", which container "vm" does not have',
    (m) => (messages(m).device = "0000:09:00.0"),
  ],
  [
    "a connection of another device than a vfio-user container's",
    'is of device "@édu", which container "disk" does not have',
    (m) => (messages(m, 3).device = "@édu"),
  ],
  [
    "a connection of a vfio-user device's vector that is off",
    "has vector 2, which is not on",
    (m) => (at(messages(m, 3).vectors, 0).index = 2),
  ],
  [
    "a connection of an interrupt that is off",
    "is of an interrupt that is not on",
    (m) => (line(m).device = "0000:01:00.0"),
  ],
  [
    "a connection of a vector that is off",
    "has vector 2, which is not on",
    (m) => (at(messages(m).vectors, 0).index = 2),
  ],
  [
    "masking by eventfd without one",
    "vector 0 in .* has no second eventfd, and masks by eventfd",
    (m) => (at(messages(m).vectors, 0).guest = undefined),
  ],
  [
    "an eventfd for masking by irqfd",
    "vector 1 in .* has a second eventfd, and masks by irqfd",
    (m) => (at(messages(m, 2).vectors, 0).guest = 0),
  ],
  [
    "masking of MSI by eventfd",
    "masks by eventfd, which only msix does",
    (m) => Object.assign(messages(m, 2), { masking: "eventfd" }),
  ],
  [
    "resampling without an eventfd",
    "is resampled, and the line has no unmask eventfd",
    (m) => (at(edu(m).irqs, 0).unmask = undefined),
  ],
];

describe("a manifest is refused with", () => {
  it.each(cases)("%s", (_, why, breakIt) => {
    // Where the form already rules something out, the reader says so in its own words.
    const pattern = new RegExp(why);
    expect(writerRefuses(breakIt).why).toMatch(pattern);
    expect(readerRefuses(breakIt).why).toMatch(pattern);
  });
});

describe("a writer is refused", () => {
  // The bytes have no place for these.
  it.each<Case>([
    [
      "a legacy container with an address space",
      'container "vm" cannot have the field "ioas" in its mode',
      (m) => (vm(m).ioas = 1),
    ],
    [
      "an iommufd with groups",
      'container "swift" cannot have the field "groups"',
      (m) => swift(m).groups.push({ id: 20, descriptor: 0 }),
    ],
    ["an iommufd's device with a group", 'cannot have the field "group" in its mode', (m) => (nvme(m).group = 11)],
    ["a legacy device with an id", 'cannot have the field "iommufdId" in its mode', (m) => (igb(m).iommufdId = 1)],
    [
      "a legacy device with a page table",
      'cannot have the field "pageTableId" in its mode',
      (m) => (igb(m).pageTableId = 1),
    ],
    ["half of a surrogate pair", "is not well-formed Unicode", (m) => (at(m.descriptors, 0).name = "\ud83d")],
    [
      "a number for none",
      "is 4294967295, not an integer from 0 to 4294967294",
      (m) => (at(vm(m).groups, 0).id = 0xffff_ffff),
    ],
    ["half of a surrogate pair in a path", "is not well-formed Unicode", (m) => (disk(m).path = "/\udc00")],
    [
      "a vfio-user device with an ioeventfd",
      'the device of container "disk" cannot have the field "ioeventfds"',
      (m) => disk(m).device.ioeventfds.push({ ...at(igb(m).ioeventfds, 0) }),
    ],
    ["a fraction of a millisecond", 'field "timeout" of .* is 0.5', (m) => (disk(m).timeout = 0.5)],
    ["a version below 0", 'field "minor" of .* is -1', (m) => (disk(m).agreement.minor = -1)],
    ["fewer ranges than none", 'field "maxMaps" of container "disk" is -1', (m) => (disk(m).agreement.maxMaps = -1)],
    [
      "page sizes above 64 bits",
      'field "pageSizes" of .* is 18446744073709551616, not',
      (m) => (disk(m).agreement.pageSizes = 1n << 64n),
    ],
    ["negative page sizes", 'field "pageSizes" of .* is -4096, not', (m) => (disk(m).agreement.pageSizes = -4096n)],
    ["a device's flags that are none", 'field "flags" of container "disk" is -1', (m) => (disk(m).port.flags = -1)],
    [
      "an errno without its sign",
      'field "status" of region 2 in container "disk" is 22',
      (m) => (region(m, 2).status = 22),
    ],
    [
      "an interrupt's errno without its sign",
      'field "status" of kind of interrupt 0 in .* is 22',
      (m) => (irqInfo(m).status = 22),
    ],
    ["a region's flags that are none", 'field "flags" of region 0 in .* is -1', (m) => (region(m).flags = -1)],
    [
      "a region's capabilities nowhere",
      'field "capOffset" of region 0 in .* is 4294967296',
      (m) => (region(m).capOffset = 2 ** 32),
    ],
    [
      "a region above 64 bits",
      'field "size" of region 0 in .* is 18446744073709551616',
      (m) => (region(m).size = 1n << 64n),
    ],
    ["a region of negative size", 'field "size" of region 0 in .* is -1', (m) => (region(m).size = -1n)],
    [
      "a region's place above 64 bits",
      'field "offset" of region 0 in .* is 18446744073709551616',
      (m) => (region(m).offset = 1n << 64n),
    ],
    [
      "an interrupt's flags that are none",
      'field "flags" of kind of interrupt 1 in .* is 0.5',
      (m) => (irqInfo(m, 1).flags = 0.5),
    ],
    [
      "more interrupts than can be counted",
      'field "count" of kind of interrupt 1 in .* is 4294967296',
      (m) => (irqInfo(m, 1).count = 2 ** 32),
    ],
    ["a fraction", 'field "gsi" of .* is 1.5, not an integer', (m) => (line(m).gsi = 1.5)],
    ["a negative number", 'field "pid" of the writer is -1', (m) => (m.writer.pid = -1)],
    [
      "an IOVA above 64 bits",
      "is not at a multiple of 4096 from 0 to 2\\^64 - 1",
      (m) => (mapping(m).iova = 1n << 64n),
    ],
    ["a negative IOVA", "is not at a multiple of 4096 from 0 to 2\\^64 - 1", (m) => (mapping(m).iova = -4096n)],
    [
      "a length that is no safe integer",
      "the length of the mapping .* is 9007199254740992",
      (m) => (mapping(m).length = 2 ** 53),
    ],
    ["a negative offset", "the offset of the mapping .* is -4096", (m) => (mapping(m).offset = -4096)],
    [
      "a negative value of an ioeventfd",
      'field "value" of the ioeventfd .* is -1',
      (m) => (at(igb(m).ioeventfds, 0).value = -1n),
    ],
    [
      "a region that is none",
      'field "region" of the ioeventfd .* is -1',
      (m) => (at(igb(m).ioeventfds, 0).region = -1),
    ],
    [
      "more connections than there can be",
      'record "connections" .* has 65537 items, more than 65536',
      (m) => (m.connections = new Array<Broken["connections"][number]>(65537).fill(line(m))),
    ],
  ])("%s", (_, why, breakIt) => {
    expect(writerRefuses(breakIt).why).toMatch(new RegExp(why));
  });
});

describe("a descriptor", () => {
  const { descriptorCount } = sample();

  it("that did not come is refused", () => {
    const bytes = encodeManifest(sample().manifest);
    const error = refusal(() => decodeManifest(bytes, descriptorCount - 1));
    expect(error).toMatchObject({ code: "EINVAL", object: "the manifest" });
    expect(error.why).toBe(
      `descriptor "prise réseau" is descriptor ${descriptorCount - 1}, and ${descriptorCount - 1} came`,
    );
    expect(refusal(() => decodeManifest(bytes, 0)).code).toBe("EPROTO");
  });

  it("that nothing speaks of is refused", () => {
    const error = refusal(() => decodeManifest(encodeManifest(sample().manifest), descriptorCount + 1));
    expect(error.why).toBe(
      `descriptor ${descriptorCount} of ${descriptorCount + 1} came, and the manifest does not name it`,
    );
  });

  it("that is two things is refused", () => {
    const twice = (m: Broken) => {
      igb(m).descriptor = file(m).descriptor;
    };
    const why = 'descriptor 0 is memory "ram", and device "0000:01:00.0" in container "vm" as well';
    expect(writerRefuses(twice).why).toBe(why);
    expect(readerRefuses(twice).why).toBe(why);
  });

  it("is refused twice wherever it is", () => {
    // Each place that a descriptor can have, with the number of the first.
    const places: readonly ((m: Broken) => void)[] = [
      (m) => (file(m, 1).descriptor = 0),
      (m) => (vm(m).descriptor = 0),
      (m) => (at(vm(m).groups, 0).descriptor = 0),
      (m) => (edu(m).descriptor = 0),
      (m) => (at(msix(m).vectors, 2).eventfd = 0),
      (m) => (at(edu(m).irqs, 0).unmask = 0),
      (m) => (at(igb(m).ioeventfds, 0).eventfd = 0),
      (m) => (disk(m).socket = 0),
      (m) => (disk(m).twin = 0),
      (m) => (region(m).file = 0),
      (m) => (at(at(disk(m).device.irqs, 0).vectors, 1).eventfd = 0),
      (m) => (at(toy(m).device.irqs, 0).unmask = 0),
      (m) => (at(messages(m).vectors, 0).guest = 0),
      (m) => (at(m.descriptors, 1).descriptor = 0),
    ];
    for (const breakIt of places)
      expect(readerRefuses(breakIt).why).toMatch(/^descriptor 0 is memory "ram", and .* as well$/);
  });

  it("is refused as a number that is none", () => {
    expect(writerRefuses((m) => (igb(m).descriptor = -1)).why).toContain(
      `device "0000:01:00.0" in container "vm" is descriptor -1, and ${descriptorCount} came`,
    );
    expect(writerRefuses((m) => (igb(m).descriptor = 2.5)).why).toContain('container "vm" is descriptor 2.5');
    expect(writerRefuses((m) => (igb(m).descriptor = 99)).why).toContain('container "vm" is descriptor 99');
  });
});

describe("a frozen part is refused", () => {
  const { manifest } = sample();
  const at0 = (part: Mutable<FrozenPart>) => at(at(part.connections, 0).vectors, 0);

  const reader = (breakIt: (part: Mutable<FrozenPart>) => void): VfioError => {
    const part = frozenSample();
    breakIt(part);
    const error = refusal(() => decodeFrozen(encodeFrozen(part), manifest));
    expect(error).toMatchObject({ syscall: "decode", object: "the manifest's frozen part" });
    return error;
  };

  it.each<readonly [string, string, (part: Mutable<FrozenPart>) => void]>([
    ["with a connection too few", "3 connections, and the manifest has 4", (p) => p.connections.pop()],
    ["with a connection too many", "5 connections, and the manifest has 4", (p) => p.connections.push({ vectors: [] })],
    [
      "with a vector too few",
      "1 vectors of msix of 0000:01:00.0, and the manifest has 2",
      (p) => at(p.connections, 0).vectors.pop(),
    ],
    [
      "with a vector of a line",
      "1 vectors of intx of 0000:06:01.0, and the manifest has 0",
      (p) => at(p.connections, 1).vectors.push(at0(p)),
    ],
    [
      "with another vector",
      'msix of "0000:01:00.0" to machine "guest" has vector 1 where the manifest has 0',
      (p) => (at0(p).index = 1),
    ],
    [
      "with vectors in another order",
      "has vector 7 where the manifest has 0",
      (p) => at(p.connections, 0).vectors.reverse(),
    ],
    [
      "with a signal to an eventfd that is not there",
      "goes to the guest's eventfd, and there is none",
      (p) => (at(at(p.connections, 2).vectors, 0).toGuest = true),
    ],
  ])("%s", (_, why, breakIt) => {
    expect(reader(breakIt).why).toContain(why);
  });

  it.each<readonly [string, string, (part: Mutable<FrozenPart>) => void]>([
    [
      "with too many phases",
      'the record "times" of the manifest\'s frozen part has 65 items, more than 64',
      (p) => (p.times = new Array(65).fill({ phase: "x", at: 1n })),
    ],
    [
      "with a phase's name too long",
      'field "phase" of time 0 is 5000 bytes long',
      (p) => (at(p.times, 0).phase = "x".repeat(5000)),
    ],
    ["with a phase's name with a NUL", 'field "phase" of time 0 has a NUL in it', (p) => (at(p.times, 0).phase = "\0")],
    ["with a time before all", 'field "at" of time 0 is -1', (p) => (at(p.times, 0).at = -1n)],
    ["with a time above 64 bits", "is 18446744073709551616", (p) => (at(p.times, 0).at = 1n << 64n)],
    [
      "with a message too long",
      "vector 0 of connection 0 has numbers out of their ranges",
      (p) => (at0(p).message = { address: 0, data: 2 ** 32 }),
    ],
    ["with an address above 64 bits", "out of their ranges", (p) => (at0(p).message = { address: 1n << 64n, data: 0 })],
    [
      "with a negative requester",
      "out of their ranges",
      (p) => (at0(p).message = { address: 0, data: 0, deviceId: -1 }),
    ],
  ])("by its writer %s", (_, why, breakIt) => {
    const part = frozenSample();
    breakIt(part);
    const error = refusal(() => encodeFrozen(part));
    expect(error).toMatchObject({ code: "EINVAL", syscall: "encode", object: "the manifest's frozen part" });
    expect(error.why).toContain(why);
  });
});
