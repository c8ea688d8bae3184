/**
 * Wrong arguments of everything that the package exports: the class of the error, its code, and the argument's name in its
 * message. An export without a row fails.
 */
import path from "node:path";
import * as vfio from "vfio";
import * as kvm from "vfio/kvm";
import * as update from "vfio/live-update";
import * as pci from "vfio/pci";
import * as rig from "vfio/rig";
import * as user from "vfio/user";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type EduProcess, socketDirectory, startEdu } from "./vfio-user-client/edu-process.js";

const type = "ERR_INVALID_ARG_TYPE";
const value = "ERR_INVALID_ARG_VALUE";
const range = "ERR_OUT_OF_RANGE";

/** A call, the code that it is refused with, and the argument that the message names. */
type Row = readonly [call: string, code: string, argument: string, make: () => unknown];

/** Calls something with arguments that its types do not allow. */
function call(target: unknown, ...args: readonly unknown[]): unknown {
  if (typeof target !== "function") throw new Error(`${String(target)} is no function`);
  return Reflect.apply(target, undefined, [...args]);
}

function make(target: unknown, ...args: readonly unknown[]): unknown {
  if (typeof target !== "function") throw new Error(`${String(target)} is no class`);
  return Reflect.construct(target, [...args]);
}

/** Calls a method with arguments that its types do not allow. */
function on(object: object, method: string, ...args: readonly unknown[]): unknown {
  const found: unknown = Reflect.get(object, method);
  if (typeof found !== "function") throw new Error(`no ${method}`);
  return Reflect.apply(found, object, [...args]);
}

function row(name: string, code: string, argument: string, run: () => unknown): Row {
  return [name, code, argument, run];
}

/** The same wrong paths of a host for each function that takes them. */
function withPaths(target: unknown, ...before: readonly unknown[]): readonly Row[] {
  return [
    row("paths 5", type, "options", () => call(target, ...before, 5)),
    row("{ sysfs: 5 }", type, "sysfs", () => call(target, ...before, { sysfs: 5 })),
    row("{ sysf: '/' }", value, "sysf", () => call(target, ...before, { sysf: "/" })),
  ];
}

function withAddress(target: unknown, ...after: readonly unknown[]): readonly Row[] {
  return [
    row("no address", type, "address", () => call(target)),
    row("5", type, "address", () => call(target, 5, ...after)),
    row("'eth0'", value, "address", () => call(target, "eth0", ...after)),
  ];
}

const address = "0000:01:00.0";

const directory = socketDirectory();
let server: EduProcess;
let container: user.UserContainer;
let device: vfio.Device;
let buffer: vfio.DmaBuffer;
let mapping: vfio.DmaMapping;
let interrupt: vfio.Interrupt;
let sockets: readonly [update.UnixSocket, update.UnixSocket];
let fd: vfio.OwnedFd;
const eventfd = vfio.EventFd.make("test");
const pciDevice = new user.PciDevice({ vendorId: 1, deviceId: 2, classCode: 0xff0000, interrupts: { msi: 1 } });
const allocator = new vfio.IovaAllocator([{ start: 0n, last: 0xffff_ffffn }]);
const space = new vfio.AddressSpace<unknown>();
const names = new pci.PciNames("");

beforeAll(async () => {
  server = await startEdu(path.join(directory.path, "edu.sock"));
  container = user.UserContainer.open({ socket: server.socket });
  device = container.attach();
  buffer = vfio.DmaBuffer.allocate(4096);
  mapping = container.map(buffer);
  const [first] = device.msi.enable(1);
  if (first === undefined) throw new Error("no vector");
  interrupt = first;
  sockets = update.UnixSocket.pair("stream");
  fd = vfio.OwnedFd.adopt(sockets[0].fd, "a socket").duplicate();
});

afterAll(async () => {
  fd.close();
  eventfd.close();
  for (const socket of sockets) socket.close();
  container.close();
  buffer.close();
  pciDevice.close();
  await server[Symbol.asyncDispose]();
  directory[Symbol.dispose]();
});

const attached: readonly Row[] = [
  row("map()", type, "memory", () => on(container, "map")),
  row("map(null)", type, "memory", () => on(container, "map", null)),
  row("map(Buffer)", type, "DmaBuffer.allocate", () => on(container, "map", Buffer.alloc(4096))),
  row("map(ArrayBuffer)", type, "DmaBuffer.allocate", () => on(container, "map", new ArrayBuffer(4096))),
  row("map of the same shape", type, "memory", () => on(container, "map", { ...shapeOf(buffer) })),
  row("map(buffer, 5)", type, "options", () => on(container, "map", buffer, 5)),
  row("map(buffer, null)", type, "options", () => on(container, "map", buffer, null)),
  row("{ iovaa }", value, 'Did you mean "iova"', () => on(container, "map", buffer, { iovaa: 1 })),
  row("{ lenght }", value, 'Did you mean "length"', () => on(container, "map", buffer, { lenght: 1 })),
  row("{ iova: '0' }", type, "iova", () => on(container, "map", buffer, { iova: "0" })),
  row("{ iova: -1 }", range, "iova", () => on(container, "map", buffer, { iova: -1 })),
  row("{ offset: 0.5 }", range, "offset", () => on(container, "map", buffer, { offset: 0.5 })),
  row("{ length: '1' }", type, "length", () => on(container, "map", buffer, { length: "1" })),
  row("{ length: 8192 }", range, "length", () => on(container, "map", buffer, { length: 8192 })),
  row("{ read: 1 }", type, "read", () => on(container, "map", buffer, { read: 1 })),
  row("{ mask: -1 }", range, "mask", () => on(container, "map", buffer, { mask: -1 })),
  row("mapAsync(Buffer)", type, "memory", () => on(container, "mapAsync", Buffer.alloc(4096))),
  row("mapAsync { signal: 1 }", type, "signal", () => on(container, "mapAsync", buffer, { signal: 1 })),
  row("mapMany(buffer)", type, "requests", () => on(container, "mapMany", buffer)),
  row("mapMany([buffer])", value, "requests[0]", () => on(container, "mapMany", [{ buffer }])),
  row("mapMany([{}])", type, "memory", () => on(container, "mapMany", [{}])),
  row("mirror({})", type, "space", () => on(container, "mirror", {})),
  row("unmap('0')", type, "iova", () => on(container, "unmap", "0", 4096)),
  row("unmap(0)", type, "length", () => on(container, "unmap", 0)),
  row("mappingAt(null)", type, "iova", () => on(container, "mappingAt", null)),
  row("addressOf('0')", type, "iova", () => on(container, "addressOf", "0")),
  row("iovaOf(0n)", type, "address", () => on(container, "iovaOf", 0n)),
  row("attach(5)", type, "address", () => on(container, "attach", 5)),
  row("attach { vfTokn }", value, 'Did you mean "vfToken"', () => on(container, "attach", "x", { vfTokn: "" })),
  row("attach { beforeOpen: 1 }", type, "beforeOpen", () => on(container, "attach", "x", { beforeOpen: 1 })),
];

/** What a memory looks like, without being one. */
function shapeOf({ kind, label, address, length, pageSize }: vfio.DmaMemory): object {
  return { kind, label, address, length, pageSize, backing() {}, hold() {}, release() {} };
}

/** By export. Each has a wrong argument of each kind that it takes. */
const wrong: Readonly<Record<string, readonly Row[]>> = {
  // ---- containers and memory
  openContainer: [
    row("a string", type, "options", () => call(vfio.openContainer, "iommufd")),
    row("null", type, "options", () => call(vfio.openContainer, null)),
    row("{ mod }", value, 'Did you mean "mode"', () => call(vfio.openContainer, { mod: "iommufd" })),
    row("{ mode: 5 }", type, "mode", () => call(vfio.openContainer, { mode: 5 })),
    row("{ mode: 'iommfd' }", value, 'Did you mean "iommufd"', () => call(vfio.openContainer, { mode: "iommfd" })),
    row("no socket", type, "socket", () => call(user.UserContainer.open, {})),
    row("{ socket: -1 }", range, "socket", () => call(user.UserContainer.open, { socket: -1 })),
    row("{ timeout: 0 }", range, "timeout", () => call(user.UserContainer.open, { socket: "/x", timeout: 0 })),
  ],
  Container: attached,
  "user.UserContainer": [
    row("on('close')", value, "event", () => on(container, "on", "close", () => {})),
    row("on('lost')", type, "listener", () => on(container, "on", "lost")),
  ],
  DmaBuffer: [
    row("allocate()", type, "length", () => call(vfio.DmaBuffer.allocate)),
    row("allocate('4096')", type, "length", () => call(vfio.DmaBuffer.allocate, "4096")),
    row("allocate(0)", range, "length", () => call(vfio.DmaBuffer.allocate, 0)),
    row("{ pages: '2m' }", value, 'Did you mean "2M"', () => call(vfio.DmaBuffer.allocate, 4096, { pages: "2m" })),
    row("{ page }", value, 'Did you mean "pages"', () => call(vfio.DmaBuffer.allocate, 4096, { page: "2M" })),
    row("{ locked: 1 }", type, "locked", () => call(vfio.DmaBuffer.allocate, 4096, { locked: 1 })),
    row("fromFd(3)", type, "fd", () => call(vfio.DmaBuffer.fromFd, 3)),
    row("fromFd { length: -1 }", range, "length", () => call(vfio.DmaBuffer.fromFd, fd, { length: -1 })),
    row("window(0, '1')", type, "length", () => on(buffer, "window", 0, "1")),
    row("window(0, 8192)", range, "length", () => on(buffer, "window", 0, 8192)),
  ],
  DmaMapping: [
    row("at('0')", type, "offset", () => on(mapping, "at", "0")),
    row("at(4096)", range, "offset", () => on(mapping, "at", 4096)),
  ],
  DmaPool: [
    row("of a buffer", type, "mapping", () => make(vfio.DmaPool, buffer, { blockSize: 64 })),
    row("no options", type, "options", () => make(vfio.DmaPool, mapping)),
    row("no size", type, "blockSize", () => make(vfio.DmaPool, mapping, {})),
    row("{ alignment: 3 }", range, "alignment", () => make(vfio.DmaPool, mapping, { blockSize: 64, alignment: 3 })),
    row("{ blocksize }", value, 'Did you mean "blockSize"', () => make(vfio.DmaPool, mapping, { blocksize: 64 })),
  ],
  IovaAllocator: [
    row("no ranges", type, "ranges", () => make(vfio.IovaAllocator)),
    row("ranges of numbers", type, "ranges", () => make(vfio.IovaAllocator, [1])),
    row("{ granularty }", value, 'Did you mean "granularity"', () => make(vfio.IovaAllocator, [], { granularty: 1 })),
    row("allocate('1')", type, "length", () => on(allocator, "allocate", "1")),
    row("{ align }", value, "align", () => on(allocator, "allocate", 4096, { align: 1 })),
    row("{ max: '1' }", type, "max", () => on(allocator, "allocate", 4096, { max: "1" })),
    row("reserve(0)", type, "length", () => on(allocator, "reserve", 0)),
    row("free(-1)", range, "iova", () => on(allocator, "free", -1, 4096)),
    row("setRanges(5)", type, "ranges", () => on(allocator, "setRanges", 5)),
  ],
  AddressSpace: [
    row("add()", type, "init", () => on(space, "add")),
    row("add({})", type, "iova", () => on(space, "add", {})),
    row("{ writeable }", value, 'Did you mean "writable"', () =>
      on(space, "add", { iova: 0, length: 1, writeable: true }),
    ),
    row("remove()", type, "section", () => on(space, "remove")),
    row("at('0')", type, "iova", () => on(space, "at", "0")),
    row("transaction()", type, "change", () => on(space, "transaction")),
    row("attachListener({})", type, "listener.add", () => on(space, "attachListener", {})),
  ],
  dirtyRanges: [
    row("an array", type, "bitmap", () => call(vfio.dirtyRanges, [1n], 4096)),
    row("no page size", type, "pageSize", () => call(vfio.dirtyRanges, new BigUint64Array(1))),
    row("pages of 0", range, "pageSize", () => call(vfio.dirtyRanges, new BigUint64Array(1), 0)),
  ],
  OwnedFd: [
    row("adopt('3')", type, "fd", () => call(vfio.OwnedFd.adopt, "3", "x")),
    row("adopt(-1)", range, "fd", () => call(vfio.OwnedFd.adopt, -1, "x")),
    row("no label", type, "label", () => call(vfio.OwnedFd.adopt, 0)),
  ],
  EventFd: [
    row("make()", type, "object", () => call(vfio.EventFd.make)),
    row("adopt('3')", type, "fd", () => call(vfio.EventFd.adopt, "3", "x")),
    row("adopt without an object", type, "object", () => call(vfio.EventFd.adopt, 0)),
    row("duplicateOf(-1)", range, "fd", () => call(vfio.EventFd.duplicateOf, -1, "x")),
    row("signal('1')", type, "count", () => on(eventfd, "signal", "1")),
    row("signal(-1)", range, "count", () => on(eventfd, "signal", -1)),
    row("wait()", type, "timeout", () => on(eventfd, "wait")),
    row("wait(-1)", range, "timeout", () => on(eventfd, "wait", -1)),
  ],
  UnixSocket: [
    row("connect()", type, "path", () => call(update.UnixSocket.connect)),
    row("connect of a type", value, "type", () => call(update.UnixSocket.connect, "/x", "dgram")),
    row("connect { sinal }", value, 'Did you mean "signal"', () =>
      call(update.UnixSocket.connect, "/x", "stream", { sinal: 1 }),
    ),
    row("pair()", type, "type", () => call(update.UnixSocket.pair)),
    row("adopt('3')", type, "fd", () => call(update.UnixSocket.adopt, "3")),
    row("trySend('x')", type, "bytes", () => on(sockets[0], "trySend", "x")),
    row("send('x')", type, "bytes", () => on(sockets[0], "send", "x")),
    row("tryReceive()", type, "into", () => on(sockets[0], "tryReceive")),
    row("receive { rom }", value, 'Did you mean "room"', () =>
      on(sockets[0], "receive", new Uint8Array(1), { rom: 1 }),
    ),
    row("shutdown('all')", value, "how", () => on(sockets[0], "shutdown", "all")),
    row("setBuffers { send: '1' }", type, "send", () => on(sockets[0], "setBuffers", { send: "1" })),
    row("setReferenced(1)", type, "referenced", () => on(sockets[0], "setReferenced", 1)),
  ],
  // ---- devices
  Device: [
    row("region()", type, "which", () => on(device, "region")),
    row("region(null)", type, "which", () => on(device, "region", null)),
    row("region(-1)", range, "which", () => on(device, "region", -1)),
    row("busMaster = 1", type, "busMaster", () => Reflect.set(device, "busMaster", 1)),
  ],
  DeviceFeatures: [
    row("has('1')", type, "feature", () => on(device.features, "has", "1", "get")),
    row("has(1, 'read')", value, "operation", () => on(device.features, "has", 1, "read")),
    row("get(1)", type, "data", () => on(device.features, "get", 1)),
    row("set(-1)", range, "feature", () => on(device.features, "set", -1)),
    row("setVfToken('x')", value, "vfToken", () => on(device.features, "setVfToken", "x")),
  ],
  Region: [
    row("read('0')", type, "offset", () => on(device.region("bar0"), "read", "0", 1)),
    row("write(0, 'x')", type, "bytes", () => on(device.region("bar0"), "write", 0, "x")),
    row("map(-1)", range, "offset", () => on(device.region("bar0"), "map", -1)),
    row("run()", type, "program", () => on(device.region("bar0"), "run")),
    row("ioeventfd()", type, "options", () => on(device.region("bar0"), "ioeventfd")),
    row("ioeventfd { width: 3 }", range, "width", () =>
      on(device.region("bar0"), "ioeventfd", { offset: 0, width: 3, value: 0 }),
    ),
  ],
  RegisterProgram: [
    row("read32('0')", type, "offset", () => on(new vfio.RegisterProgram(), "read32", "0")),
    row("write8(0, 256)", range, "value", () => on(new vfio.RegisterProgram(), "write8", 0, 256)),
  ],
  ConfigSpace: [
    row("capability('msi-x')", value, 'Did you mean "msix"', () => on(device.config, "capability", "msi-x")),
    row("capability()", type, "which", () => on(device.config, "capability")),
    row("extendedCapability(-1)", range, "which", () => on(device.config, "extendedCapability", -1)),
    row("read32('0')", type, "offset", () => on(device.config, "read32", "0")),
  ],
  Interrupt: [
    row("on('irq')", value, "event", () => on(interrupt, "on", "irq", () => {})),
    row("on('interrupt')", type, "listener", () => on(interrupt, "on", "interrupt")),
    row("wait(5)", type, "options", () => on(interrupt, "wait", 5)),
    row("wait { timout }", value, 'Did you mean "timeout"', () => on(interrupt, "wait", { timout: 1 })),
    row("wait { timeout: '1' }", type, "timeout", () => on(interrupt, "wait", { timeout: "1" })),
    row("wait { signal: 1 }", type, "signal", () => on(interrupt, "wait", { signal: 1 })),
    row("waitSync(-1)", range, "timeout", () => on(interrupt, "waitSync", -1)),
    row("interrupts { unmask }", value, "unmask", () => on(interrupt, "interrupts", { unmask: false })),
    row("lend()", type, "borrower", () => on(interrupt, "lend")),
  ],
  MessageInterrupts: [
    row("enable('1')", type, "count", () => on(device.msi, "enable", "1")),
    row("enable(0)", range, "count", () => on(device.msi, "enable", 0)),
    row("vector('0')", type, "index", () => on(device.msi, "vector", "0")),
    row("enableVector(99)", range, "index", () => on(device.msi, "enableVector", 99)),
    row("trigger(0)", type, "vectors", () => on(device.msi, "trigger", 0)),
    row("redirect(0, '3')", type, "eventfd", () => on(device.msi, "redirect", 0, "3")),
  ],
  decodeCapability: [row("nothing", type, "config", () => call(vfio.decodeCapability))],
  errnoName: [row("'EINVAL'", type, "errno", () => call(vfio.errnoName, "EINVAL"))],
  // ---- KVM: what needs no machine; the others are in test/integration/kvm.test.ts
  Kvm: [row("open(5)", type, "path", () => call(kvm.Kvm.open, 5))],
  Vm: [
    row("adopt('3')", type, "fd", () => call(kvm.Vm.adopt, "3", { irqchip: "full" })),
    row("adopt(3)", type, "options", () => call(kvm.Vm.adopt, 3)),
    row("{ irqchip: 'ful' }", value, 'Did you mean "full"', () => call(kvm.Vm.adopt, 3, { irqchip: "ful" })),
  ],
  LocalApic: [
    row("isRequested('1')", type, "vector", () => on(new kvm.LocalApic(new Uint8Array(1024)), "isRequested", "1")),
    row("clearRequest(256)", range, "vector", () => on(new kvm.LocalApic(new Uint8Array(1024)), "clearRequest", 256)),
  ],
  connectIntx: [row("an interrupt", type, "line", () => call(kvm.connectIntx, interrupt))],
  connectMessages: [
    row("a vector", type, "irq", () => call(kvm.connectMessages, interrupt)),
    row("no machine", type, "vm", () => call(kvm.connectMessages, device.msi)),
  ],
  // ---- live update
  LiveUpdate: [
    row("nothing", type, "options", () => make(update.LiveUpdate)),
    row("no containers", type, "containers", () => make(update.LiveUpdate, {})),
    row("a buffer", type, "containers.a", () => make(update.LiveUpdate, { containers: { a: buffer } })),
    row("{ machine }", value, 'Did you mean "machines"', () =>
      make(update.LiveUpdate, { containers: {}, machine: {} }),
    ),
    row("{ stop: 1 }", type, "stop", () => make(update.LiveUpdate, { containers: {}, stop: 1 })),
    row("handOver()", type, "carrier", () => on(new update.LiveUpdate({ containers: {} }), "handOver")),
    row("handOver { signal: 1 }", type, "signal", () =>
      on(new update.LiveUpdate({ containers: {} }), "handOver", update.execInPlace(), { signal: 1 }),
    ),
  ],
  receiveLiveUpdate: [row("nothing", type, "carrier", () => call(update.receiveLiveUpdate))],
  execInPlace: [
    row("{ arg }", value, 'Did you mean "args"', () => call(update.execInPlace, { arg: [] })),
    row("{ args: 'x' }", type, "args", () => call(update.execInPlace, { args: "x" })),
  ],
  incomingExec: [row("{ limit }", value, 'Did you mean "limits"', () => call(update.incomingExec, { limit: {} }))],
  socketToSuccessor: [
    row("a path", type, "place", () => call(update.socketToSuccessor, "/x")),
    row("{ lisen }", value, 'Did you mean "listen"', () => call(update.socketToSuccessor, { lisen: "/x" })),
    row("{}", type, "place", () => call(update.socketToSuccessor, {})),
    row("{ allow: true }", type, "allow", () => call(update.socketToSuccessor, { listen: "/x" }, { allow: true })),
  ],
  socketFromOldProcess: [row("{ fd: '3' }", type, "fd", () => call(update.socketFromOldProcess, { fd: "3" }))],
  // ---- the host
  bindDriver: [
    ...withAddress(pci.bindDriver),
    row("{ drvier }", value, 'Did you mean "driver"', () => call(pci.bindDriver, address, { drvier: "x" })),
    row("{ driver: 5 }", type, "driver", () => call(pci.bindDriver, address, { driver: 5 })),
    row("{ force: 1 }", type, "force", () => call(pci.bindDriver, address, { force: 1 })),
  ],
  planBinding: withAddress(pci.planBinding),
  planRelease: withAddress(pci.planRelease),
  releaseDevice: [
    ...withAddress(pci.releaseDevice),
    row("{ runs }", value, 'Did you mean "run"', () => call(pci.releaseDevice, address, { runs: "/run" })),
  ],
  formerDriver: withAddress(pci.formerDriver),
  setNumVfs: [
    row("no count", type, "count", () => call(pci.setNumVfs, address)),
    row("-1", range, "count", () => call(pci.setNumVfs, address, -1)),
    row("{ autoProbe }", value, 'Did you mean "autoprobe"', () => call(pci.setNumVfs, address, 1, { autoProbe: 1 })),
  ],
  findDeviceUses: [...withAddress(pci.findDeviceUses), ...withPaths(pci.findDeviceUses, address)],
  readPciDevice: [...withAddress(pci.readPciDevice), ...withPaths(pci.readPciDevice, address)],
  readPciConfig: [...withAddress(pci.readPciConfig), ...withPaths(pci.readPciConfig, address)],
  listPciDevices: withPaths(pci.listPciDevices),
  listIommuGroups: withPaths(pci.listIommuGroups),
  listMdevDevices: withPaths(pci.listMdevDevices),
  readIommuGroup: [
    row("nothing", type, "group", () => call(pci.readIommuGroup)),
    row("-1", range, "group", () => call(pci.readIommuGroup, -1)),
    ...withPaths(pci.readIommuGroup, 1),
  ],
  groupViability: [row("null", type, "group", () => call(pci.groupViability, null))],
  leavesDmaAlone: [row("nothing", type, "driver", () => call(pci.leavesDmaAlone))],
  readMdevDevice: [
    row("5", type, "uuid", () => call(pci.readMdevDevice, 5)),
    row("'x'", value, "uuid", () => call(pci.readMdevDevice, "x")),
  ],
  readVfioNodes: [row("5", type, "device", () => call(pci.readVfioNodes, 5))],
  vfioCdevPath: [row("5", type, "device", () => call(pci.vfioCdevPath, 5))],
  vfioGroupPath: [row("5", type, "device", () => call(pci.vfioGroupPath, 5))],
  parsePciAddress: withAddress(pci.parsePciAddress),
  pciAddress: withAddress(pci.pciAddress),
  formatPciAddress: [
    row("nothing", type, "parts", () => call(pci.formatPciAddress)),
    row("{}", type, "domain", () => call(pci.formatPciAddress, {})),
    row("bus 256", range, "bus", () => call(pci.formatPciAddress, { domain: 0, bus: 256, device: 0, function: 0 })),
  ],
  PciNames: [
    row("nothing", type, "text", () => make(pci.PciNames)),
    row("read(5)", type, "path", () => call(pci.PciNames.read, 5)),
    row("vendor('1')", type, "vendorId", () => on(names, "vendor", "1")),
    row("device(1, -1)", range, "deviceId", () => on(names, "device", 1, -1)),
  ],
  diagnose: [row("5", type, "address", () => call(vfio.diagnose, 5)), ...withPaths(vfio.diagnose, undefined)],
  tryModes: [
    row("nothing", type, "address", () => call(vfio.tryModes)),
    row("a mode", value, "modes", () => call(vfio.tryModes, address, ["iommu"])),
  ],
  readKernelFeatures: [row("5", type, "dev", () => call(vfio.readKernelFeatures, 5))],
  traceCalls: [
    row("nothing", type, "listener", () => call(vfio.traceCalls)),
    row("{ register }", value, 'Did you mean "registers"', () => call(vfio.traceCalls, () => {}, { register: true })),
  ],
  formatCall: [row("nothing", type, "call", () => call(vfio.formatCall))],
  // ---- vfio/user
  "user.PciDevice": [
    row("nothing", type, "options", () => make(user.PciDevice)),
    row("no class", type, "classCode", () => make(user.PciDevice, { vendorId: 1, deviceId: 2 })),
    row("{ vendorId: 65536 }", range, "vendorId", () =>
      make(user.PciDevice, { vendorId: 65536, deviceId: 2, classCode: 0 }),
    ),
    row("{ bar }", value, 'Did you mean "bars"', () =>
      make(user.PciDevice, { vendorId: 1, deviceId: 2, classCode: 0, bar: [] }),
    ),
    row("a BAR's { sise }", value, 'Did you mean "size"', () =>
      make(user.PciDevice, { vendorId: 1, deviceId: 2, classCode: 0, bars: [{ sise: 16 }] }),
    ),
    row("{ interrupts: { msix: '1' } }", type, "msix", () =>
      make(user.PciDevice, { vendorId: 1, deviceId: 2, classCode: 0, interrupts: { msix: "1" } }),
    ),
    row("{ migration: {} }", type, "migration.save", () =>
      make(user.PciDevice, { vendorId: 1, deviceId: 2, classCode: 0, migration: {} }),
    ),
    row("bar('0')", type, "index", () => on(pciDevice, "bar", "0")),
    row("dma.read('0')", type, "iova", () => on(pciDevice.dma, "read", "0", 1)),
    row("dma.write(0, 'x')", type, "bytes", () => on(pciDevice.dma, "write", 0, "x")),
    row("msi.trigger('0')", type, "vector", () => on(pciDevice.msi, "trigger", "0")),
  ],
  "user.VfioUserServer": [
    row("listen()", type, "path", () => call(user.VfioUserServer.listen)),
    row("listen of options", type, "device", () => call(user.VfioUserServer.listen, {}, "/x")),
    row("{ maxFds: 0 }", range, "maxFds", () => call(user.VfioUserServer.listen, pciDevice, "/x", { maxFds: 0 })),
    row("{ trustClient }", value, 'Did you mean "trustClients"', () =>
      call(user.VfioUserServer.listen, pciDevice, "/x", { trustClient: true }),
    ),
    row("serve of a path", type, "socket", () => call(user.VfioUserServer.serve, pciDevice, "/x")),
  ],
  "user.vendorSpecific": [row("an array", type, "data", () => call(user.vendorSpecific, [1]))],
  "user.eduDevice": [
    row("{ dmaMask: 1 }", type, "dmaMask", () => call(user.eduDevice, { dmaMask: 1 })),
    row("{ dmamask }", value, 'Did you mean "dmaMask"', () => call(user.eduDevice, { dmamask: 1n })),
  ],
  "user.memoryDisk": [row("a length", type, "bytes", () => call(user.memoryDisk, 4096))],
  "user.fileDisk": [row("a path", type, "file", () => call(user.fileDisk, "/x"))],
  "user.virtioBlockDevice": [
    row("bytes", type, "disk.size", () => call(user.virtioBlockDevice, new Uint8Array(512))),
    row("{ readonly }", value, 'Did you mean "readOnly"', () =>
      call(user.virtioBlockDevice, user.memoryDisk(new Uint8Array(512)), { readonly: true }),
    ),
  ],
  "user.virtioPciDevice": [
    row("nothing", type, "kind", () => call(user.virtioPciDevice)),
    row("{}", type, "kind.name", () => call(user.virtioPciDevice, {})),
  ],
  // ---- vfio/rig
  "rig.runInGuest": [
    row("nothing", type, "options", () => call(rig.runInGuest)),
    row("a string", type, "command", () => call(rig.runInGuest, { command: "ls" })),
    row("{ cpu }", value, 'Did you mean "cpus"', () => call(rig.runInGuest, { command: ["ls"], cpu: 1 })),
    row("{ iommu: 'inte' }", value, 'Did you mean "intel"', () =>
      call(rig.runInGuest, { command: ["ls"], iommu: "inte" }),
    ),
    row("{ memory: 1 }", range, "memory", () => call(rig.runInGuest, { command: ["ls"], memory: 1 })),
  ],
  "rig.ensureRig": [row("{ kernl }", value, 'Did you mean "kernel"', () => call(rig.ensureRig, { kernl: "x" }))],
  "rig.ProgressPrinter": [row("nothing", type, "stream", () => make(rig.ProgressPrinter))],
  "rig.guestEnvironment": [row("nothing", type, "env", () => call(rig.guestEnvironment))],
  "rig.cacheDirectory": [row("null", type, "env", () => call(rig.cacheDirectory, null))],
};

/** Exports that take nothing from the caller, each with the reason. */
const takesNothing: Readonly<Record<string, string>> = {
  lockedMemory: "has no arguments",
  "user.powerManagement": "has no arguments",
  Binding: "is made by bindDriver()",
  DmaBlock: "is made by a DmaPool",
  IncomingUpdate: "is made by receiveLiveUpdate()",
  Intx: "its methods have no arguments",
  IntxLine: "covered by Interrupt, and in test/rig/irq.test.ts",
  IrqIndex: "its methods have no arguments",
  Notification: "its methods have no arguments",
  Ioeventfd: "is made by Region.ioeventfd()",
  RegionMap: "covered by test/integration/vfio-user-client/registers.test.ts",
  IommufdContainer: "has the methods of Container",
  LegacyContainer: "needs the kernel: test/rig/container.test.ts",
  Iommufd: "needs the kernel: test/rig/iommufd.test.ts",
  Ioas: "needs the kernel: test/rig/iommufd.test.ts",
  IrqFd: "needs a machine: test/integration/kvm.test.ts",
  KvmIoeventfd: "needs a machine: test/integration/kvm.test.ts",
  KvmVfioDevice: "needs a machine: test/integration/kvm.test.ts",
  GsiRouting: "needs a machine: test/integration/kvm.test.ts",
  Vcpu: "needs a machine: test/integration/kvm.test.ts",
  IntxConnection: "is made by connectIntx()",
  MessageConnection: "is made by connectMessages()",
  ConnectedVector: "is made by connectMessages()",
  VfioError: "is made by the package",
  SectionError: "is made by the package",
  LiveUpdateBlockedError: "is made by the package",
  "user.DriverError": "an Error, with its arguments",
  "rig.RigError": "is made by the package",
};

function functionsOf(module: object, prefix: string): readonly string[] {
  return Object.entries(module)
    .filter(([, each]) => typeof each === "function")
    .map(([name]) => `${prefix}${name}`);
}

test("every export has a row, or takes nothing", () => {
  const exported = [
    ...[vfio, kvm, update, pci].flatMap((entry) => functionsOf(entry, "")),
    ...functionsOf(user, "user."),
    ...functionsOf(rig, "rig."),
  ];
  expect([...Object.keys(wrong), ...Object.keys(takesNothing)].sort()).toEqual([...exported].sort());
});

describe.each(Object.entries(wrong))("%s", (_name, rows) => {
  test.each(rows)("%s: %s, %s", async (_call, code, argument, run) => {
    let thrown: unknown;
    try {
      await run();
    } catch (error) {
      thrown = error;
    }
    expect(thrown).toBeInstanceOf(code === range ? RangeError : TypeError);
    expect(thrown).toMatchObject({ code, message: expect.stringContaining(argument) });
  });
});

test("a refused argument changes nothing", () => {
  expect(container.mappingCount).toBe(1);
  expect(space.size).toBe(0);
  expect(allocator.allocated()).toEqual([]);
});
