/** Manifests for the tests of the codec: one with a bit of everything, and any number of random ones. */
import { crc32 } from "node:zlib";
import type { AnyContainerMode } from "../../../lib/container/modes.js";
import type { ConnectionItem } from "../../../lib/live-update/manifest/connection.js";
import type { DeviceItem, IoeventfdItem, IrqItem } from "../../../lib/live-update/manifest/device.js";
import type { FrozenPart } from "../../../lib/live-update/manifest/frozen.js";
import type { Manifest } from "../../../lib/live-update/manifest/manifest.js";
import type { MappingItem } from "../../../lib/live-update/manifest/mappings.js";
import type { MemoryItem } from "../../../lib/live-update/manifest/memory.js";
import type { SocketItem } from "../../../lib/live-update/manifest/socket.js";
import { withDescriptors } from "../../../lib/vfio-user/client/container.js";
import type { Prng } from "../prng.js";

/** The same thing, to be changed by a test. */
export type Mutable<T> = T extends Uint8Array
  ? T
  : T extends object
    ? { -readonly [Key in keyof T]: Mutable<T[Key]> }
    : T;

export const GiB = 2 ** 30;

/** A new copy of a manifest with a bit of everything, and the number of its descriptors. */
export function sample(): { readonly manifest: Mutable<Manifest>; readonly descriptorCount: number } {
  let next = 0;
  const fd = () => next++;
  const manifest: Mutable<Manifest> = {
    writer: { version: "0.2.0", node: "v20.19.0", pid: 4711 },
    memory: [
      {
        kind: "file",
        name: "ram",
        descriptor: fd(),
        length: 4 * GiB,
        pageSize: 2 << 20,
        locked: true,
        label: "ram (4294967296 bytes)",
      },
      { kind: "file", name: undefined, descriptor: fd(), length: 8192, pageSize: 4096, locked: false, label: "" },
      { kind: "bar", container: "vm", device: "0000:01:00.0", region: 2, offset: 4096, length: 65536 },
    ],
    containers: [
      {
        name: "vm",
        mode: "type1v2",
        descriptor: fd(),
        ioas: undefined,
        groups: [
          { id: 11, descriptor: fd() },
          { id: 14, descriptor: fd() },
        ],
        devices: [
          {
            address: "0000:01:00.0",
            descriptor: fd(),
            group: 11,
            iommufdId: undefined,
            pageTableId: undefined,
            irqs: [
              {
                kind: "msix",
                allocated: 3,
                vectors: [
                  { index: 0, eventfd: fd() },
                  { index: 1, eventfd: fd() },
                  { index: 7, eventfd: fd() },
                ],
                unmask: undefined,
              },
              { kind: "err", allocated: 0, vectors: [{ index: 0, eventfd: fd() }], unmask: undefined },
              { kind: "req", allocated: 0, vectors: [{ index: 0, eventfd: fd() }], unmask: undefined },
            ],
            ioeventfds: [{ region: 0, offset: 0x3810, width: 4, value: 0xffff_ffffn, eventfd: fd() }],
          },
          {
            address: "0000:06:01.0",
            descriptor: fd(),
            group: 14,
            iommufdId: undefined,
            pageTableId: undefined,
            irqs: [{ kind: "intx", allocated: 0, vectors: [{ index: 0, eventfd: fd() }], unmask: fd() }],
            ioeventfds: [],
          },
        ],
        mappings: [
          { iova: 0n, length: GiB, read: true, write: true, memory: 0, offset: 0 },
          { iova: 0xfff0_0000n, length: 65536, read: true, write: true, memory: 2, offset: 0 },
          { iova: 0x1_0000_0000n, length: 3 * GiB, read: true, write: false, memory: 0, offset: GiB },
          { iova: 0xffff_ffff_ffff_f000n, length: 4096, read: false, write: true, memory: 1, offset: 4096 },
        ],
      },
      {
        name: "swift",
        mode: "iommufd",
        descriptor: fd(),
        ioas: 1,
        groups: [],
        devices: [
          {
            address: "0000:02:00.0",
            descriptor: fd(),
            group: undefined,
            iommufdId: 2,
            pageTableId: 3,
            irqs: [
              {
                kind: "msi",
                allocated: 2,
                vectors: [
                  { index: 0, eventfd: fd() },
                  { index: 1, eventfd: fd() },
                ],
                unmask: undefined,
              },
            ],
            ioeventfds: [],
          },
          {
            address: "83b8f4f2-509f-382f-3c1e-e6bfe0fa1001",
            descriptor: fd(),
            group: undefined,
            iommufdId: 4,
            pageTableId: 1,
            irqs: [],
            ioeventfds: [],
          },
        ],
        mappings: [{ iova: 0x2000n, length: 8192, read: true, write: true, memory: 1, offset: 0 }],
      },
    ],
    sockets: [
      {
        name: "disk",
        path: "/run/nvme.sock",
        address: "nvme",
        timeout: 5000,
        postedWrites: true,
        trustServer: false,
        socket: fd(),
        twin: fd(),
        agreement: {
          minor: 1,
          maxFds: 8,
          maxTransfer: 1 << 20,
          maxMaps: 65535,
          pageSizes: 0x4020_1000n,
          writeMultiple: true,
        },
        port: {
          flags: 3,
          numRegions: 3,
          numIrqs: 3,
          regions: [
            {
              index: 0,
              status: 0,
              flags: 15,
              size: 0x4000n,
              offset: 0xffff_ffff_ffff_0000n,
              capOffset: 32,
              // An answer with a capability: a sparse mapping without areas.
              bytes: Uint8Array.from({ length: 48 }, (_, at) => [32, 1, 1][[0, 32, 34].indexOf(at)] ?? 0),
              file: fd(),
            },
            {
              index: 1,
              status: 0,
              flags: 3,
              size: 0n,
              offset: 0n,
              capOffset: 0,
              bytes: Uint8Array.of(32),
              file: undefined,
            },
            {
              index: 2,
              status: -22,
              flags: 0,
              size: 0n,
              offset: 0n,
              capOffset: 0,
              bytes: new Uint8Array(),
              file: undefined,
            },
          ],
          irqs: [
            { index: 0, status: -22, flags: 0, count: 0 },
            { index: 1, status: 0, flags: 9, count: 0 },
            { index: 2, status: 0, flags: 9, count: 2048 },
          ],
          posted: [],
        },
        device: {
          irqs: [
            {
              kind: "msix",
              allocated: 2,
              vectors: [
                { index: 0, eventfd: fd() },
                { index: 1, eventfd: fd() },
              ],
              unmask: undefined,
            },
            { kind: "err", allocated: 0, vectors: [{ index: 0, eventfd: fd() }], unmask: undefined },
          ],
          ioeventfds: [],
        },
        mappings: [
          { iova: 0n, length: GiB, read: true, write: true, memory: 0, offset: 0 },
          { iova: 0xffff_ffff_ffff_f000n, length: 4096, read: true, write: false, memory: 1, offset: 0 },
        ],
      },
      {
        name: "toy",
        // In the abstract namespace.
        path: "\0édu",
        address: "@édu",
        timeout: 1,
        postedWrites: false,
        trustServer: true,
        socket: fd(),
        twin: undefined,
        agreement: {
          minor: 0,
          maxFds: 0,
          maxTransfer: 1,
          maxMaps: 0,
          pageSizes: 0xffff_ffff_ffff_ffffn,
          writeMultiple: false,
        },
        port: { flags: 0, numRegions: 0, numIrqs: 0, regions: [], irqs: [], posted: [] },
        device: {
          irqs: [{ kind: "intx", allocated: 0, vectors: [{ index: 0, eventfd: fd() }], unmask: fd() }],
          ioeventfds: [],
        },
        mappings: [],
      },
      {
        name: "passed",
        path: undefined,
        address: "socket 7",
        timeout: 2 ** 31 - 1,
        postedWrites: true,
        trustServer: true,
        socket: fd(),
        twin: undefined,
        agreement: {
          minor: 1,
          maxFds: 253,
          maxTransfer: 0xffff_ffff,
          maxMaps: 0xffff_ffff,
          pageSizes: 4096n,
          writeMultiple: false,
        },
        port: {
          flags: 2,
          numRegions: 1,
          numIrqs: 0,
          regions: [
            {
              index: 0,
              status: -4095,
              flags: 0,
              size: 0n,
              offset: 0n,
              capOffset: 0,
              bytes: new Uint8Array(),
              file: undefined,
            },
          ],
          irqs: [],
          posted: [true],
        },
        device: { irqs: [], ioeventfds: [] },
        mappings: [],
      },
    ],
    connections: [
      {
        kind: "msix",
        machine: "guest",
        container: "vm",
        device: "0000:01:00.0",
        masking: "eventfd",
        vectors: [
          { index: 0, guest: fd() },
          { index: 7, guest: fd() },
        ],
      },
      { kind: "intx", machine: "guest", container: "vm", device: "0000:06:01.0", gsi: 17, delivery: "resample" },
      {
        kind: "msi",
        machine: "guest 2",
        container: "swift",
        device: "0000:02:00.0",
        masking: "irqfd",
        vectors: [{ index: 1, guest: undefined }],
      },
      {
        kind: "msix",
        machine: "guest",
        container: "disk",
        device: "nvme",
        masking: "eventfd",
        vectors: [{ index: 1, guest: fd() }],
      },
    ],
    descriptors: [
      { name: "log", descriptor: fd() },
      { name: "prise réseau", descriptor: fd() },
    ],
  };
  return { manifest, descriptorCount: next };
}

/** The frozen part of {@link sample}. */
export function frozenSample(): Mutable<FrozenPart> {
  return {
    connections: [
      {
        vectors: [
          { index: 0, message: { address: 0xfee0_1000n, data: 0x4021 }, masked: false, toGuest: true },
          { index: 7, message: undefined, masked: true, toGuest: false },
        ],
      },
      { vectors: [] },
      {
        vectors: [
          {
            index: 1,
            message: { address: 0xffff_ffff_fee0_0000n, data: 0xffff_ffff, deviceId: 0x200 },
            masked: false,
            toGuest: false,
          },
        ],
      },
      { vectors: [{ index: 1, message: { address: 0xfee0_2000n, data: 0x31 }, masked: false, toGuest: false }] },
    ],
    times: [
      { phase: "freeze", at: 81_234_567_890n },
      { phase: "invalidate", at: 81_234_999_999n },
    ],
    state: Uint8Array.of(0xde, 0xad, 0xbe, 0xef, 0),
  };
}

/** The numbers below a limit, in any order. */
function shuffled(prng: Prng, limit: number): number[] {
  const order = Array.from({ length: limit }, (_, index) => index);
  for (let i = limit - 1; i > 0; i--) {
    const j = prng.below(i + 1);
    const [a, b] = [order[i] ?? 0, order[j] ?? 0];
    order[i] = b;
    order[j] = a;
  }
  return order;
}

const alphabet = ["a", "B", "0", " ", "/", "é", "漢", "😀", "\ufeff", "\n", '"'];

function randomName(prng: Prng, unique: string): string {
  const text = Array.from({ length: prng.below(prng.oneIn(20) ? 300 : 8) }, () => prng.pick(alphabet)).join("");
  return prng.oneIn(2) ? `${text}${unique}` : `${unique}${text}`;
}

function randomAddress(prng: Prng, n: number): string {
  const hex = (value: number, digits: number) => value.toString(16).padStart(digits, "0");
  if (prng.oneIn(4)) return `${hex(prng.next(), 8)}-0000-4000-8000-${hex(n, 12)}`;
  return `${hex(prng.oneIn(5) ? 0x1_0000 + n : n, 4)}:${hex(prng.below(256), 2)}:${hex(prng.below(32), 2)}.${prng.below(8)}`;
}

function randomIndexes(prng: Prng, limit: number, most: number): number[] {
  return [...new Set(Array.from({ length: prng.below(most) }, () => prng.below(limit)))];
}

function randomIrqs(prng: Prng, fd: () => number): IrqItem[] {
  const irqs: IrqItem[] = [];
  const single = (kind: "intx" | "err" | "req", unmask?: number): IrqItem => ({
    kind,
    allocated: 0,
    vectors: [{ index: 0, eventfd: fd() }],
    unmask,
  });
  const first = prng.pick(["none", "intx", "msi", "msix"] as const);
  if (first === "intx") irqs.push(single("intx", prng.oneIn(2) ? fd() : undefined));
  else if (first !== "none") {
    const limit = first === "msi" ? 32 : 2048;
    const vectors = randomIndexes(prng, limit, 12).map((index) => ({ index, eventfd: fd() }));
    if (vectors.length > 0) irqs.push({ kind: first, allocated: prng.between(1, limit), vectors, unmask: undefined });
  }
  if (prng.oneIn(2)) irqs.push(single("err"));
  if (prng.oneIn(2)) irqs.push(single("req"));
  return prng.oneIn(2) ? irqs : irqs.reverse();
}

function randomIoeventfds(prng: Prng, fd: () => number): IoeventfdItem[] {
  return Array.from({ length: prng.oneIn(3) ? prng.below(4) : 0 }, (_, n) => {
    const width = prng.pick([1, 2, 4, 8] as const);
    return {
      region: prng.below(6),
      offset: n * 8 + (prng.oneIn(4) ? 2 ** 40 : 0),
      width,
      value: prng.bigBelow(1n << BigInt(8 * width)),
      eventfd: fd(),
    };
  });
}

function randomMappings(prng: Prng, memory: readonly MemoryItem[], mode: AnyContainerMode): MappingItem[] {
  const usable = memory.flatMap((item, index) =>
    item.kind === "file" || mode === "type1" || mode === "type1v2" ? [{ item, index }] : [],
  );
  if (usable.length === 0) return [];
  const mappings: MappingItem[] = [];
  let next = prng.oneIn(2) ? 0n : prng.bigBelow(1n << 52n) << 12n;
  for (let n = prng.below(prng.oneIn(10) ? 200 : 8); n > 0; n--) {
    const { item, index } = prng.pick(usable);
    const pages = item.length / 4096;
    const first = prng.below(pages);
    const length = prng.between(1, pages - first) * 4096;
    if (next + BigInt(length) > 1n << 64n) break;
    const access = prng.between(1, 3);
    mappings.push({
      iova: next,
      length,
      read: (access & 1) !== 0,
      write: (access & 2) !== 0,
      memory: index,
      offset: first * 4096,
    });
    next += BigInt(length) + (prng.oneIn(2) ? 0n : BigInt(prng.below(1 << 20)) << 12n);
  }
  return prng.oneIn(4) ? mappings.reverse() : mappings;
}

/** Whose devices' interrupts can go to a guest. */
interface Owner {
  readonly name: string;
  readonly devices: readonly { readonly address: string; readonly irqs: readonly IrqItem[] }[];
}

function randomSocket(prng: Prng, n: number, fd: () => number): Omit<SocketItem, "mappings"> {
  const u64 = () => prng.bigBelow(1n << 64n);
  const status = () => (prng.oneIn(4) ? -prng.between(1, 4095) : 0);
  const numRegions = prng.below(12);
  const numIrqs = prng.below(7);
  return {
    name: randomName(prng, `s${n}`),
    path: prng.oneIn(4) ? undefined : `${prng.pick(["/", "@", "\0"])}${randomName(prng, "p")}`,
    address: randomName(prng, "a"),
    timeout: prng.between(1, 2 ** 31 - 1),
    postedWrites: prng.oneIn(2),
    trustServer: prng.oneIn(2),
    socket: fd(),
    twin: prng.oneIn(2) ? fd() : undefined,
    agreement: {
      minor: prng.below(3),
      maxFds: prng.below(254),
      maxTransfer: prng.between(1, 0xffff_ffff),
      maxMaps: prng.next(),
      pageSizes: prng.bigBelow((1n << 64n) - 1n) + 1n,
      writeMultiple: prng.oneIn(2),
    },
    port: {
      flags: prng.next(),
      numRegions,
      numIrqs,
      regions: Array.from({ length: numRegions }, (_, index) => {
        const refused = status();
        return {
          index,
          status: refused,
          flags: prng.next(),
          size: u64(),
          offset: u64(),
          capOffset: prng.next(),
          bytes: Uint8Array.from({ length: prng.oneIn(3) ? prng.below(200) : 0 }, () => prng.below(256)),
          file: refused === 0 && prng.oneIn(3) ? fd() : undefined,
        };
      }),
      irqs: Array.from({ length: numIrqs }, (_, index) => ({
        index,
        status: status(),
        flags: prng.next(),
        count: prng.next(),
      })),
      posted: Array.from({ length: prng.below(numRegions + 1) }, () => prng.oneIn(2)),
    },
    device: { irqs: randomIrqs(prng, fd), ioeventfds: [] },
  };
}

function randomConnections(prng: Prng, containers: readonly Owner[], fd: () => number): ConnectionItem[] {
  return containers.flatMap((container) =>
    container.devices.flatMap((device) =>
      device.irqs.flatMap((irq): ConnectionItem[] => {
        const { kind } = irq;
        if (kind === "err" || kind === "req" || prng.oneIn(3)) return [];
        const of = { machine: randomName(prng, "m"), container: container.name, device: device.address };
        if (kind === "intx") {
          const delivery = prng.pick(["resample", "irqfd", "user"] as const);
          if (delivery === "resample" && irq.unmask === undefined) return [];
          return [{ kind, ...of, gsi: prng.next(), delivery }];
        }
        // Vectors go to a guest in several parts, perhaps, and some to none.
        const parts = irq.vectors.map(({ index }) => ({ index, part: prng.below(4) }));
        return Array.from({ length: prng.between(1, 3) }, (_, number): ConnectionItem => {
          const masking = kind === "msix" && prng.oneIn(2) ? "eventfd" : "irqfd";
          const vectors = parts
            .filter(({ part }) => part === number)
            .map(({ index }) => ({ index, guest: masking === "eventfd" ? fd() : undefined }));
          return { kind, ...of, masking, vectors };
        });
      }),
    ),
  );
}

/** A manifest that is sound, and otherwise anything. */
export function randomManifest(prng: Prng): { readonly manifest: Manifest; readonly descriptorCount: number } {
  let descriptorCount = 0;
  const fd = () => descriptorCount++;
  let devices = 0;
  let groups = 0;
  const skeletons = Array.from({ length: prng.below(4) }, (_, n) => {
    const mode = prng.pick(["type1", "type1v2", "compat-type1", "compat-type1v2", "iommufd"] as const);
    const isIommufd = mode === "iommufd";
    const own = isIommufd ? [] : Array.from({ length: prng.below(3) }, () => ({ id: groups++, descriptor: fd() }));
    const groupOf = (k: number) => own[k % own.length]?.id;
    const count = isIommufd ? prng.below(4) : own.length === 0 ? 0 : own.length + prng.below(2);
    const list = Array.from({ length: count }, (_, k): DeviceItem => {
      devices++;
      return {
        address: randomAddress(prng, devices),
        descriptor: fd(),
        group: groupOf(k),
        iommufdId: isIommufd ? 1 + k : undefined,
        pageTableId: isIommufd ? prng.below(100) : undefined,
        irqs: randomIrqs(prng, fd),
        ioeventfds: randomIoeventfds(prng, fd),
      };
    });
    const ioas = isIommufd ? prng.between(1, 2 ** 31) : undefined;
    return { name: randomName(prng, `c${n}`), mode, descriptor: fd(), ioas, groups: own, devices: list };
  });
  const plugs = Array.from({ length: prng.oneIn(2) ? prng.below(4) : 0 }, (_, n) => randomSocket(prng, n, fd));
  const all: readonly Owner[] = [
    ...skeletons,
    ...plugs.map(({ name, address, device: { irqs } }) => ({ name, devices: [{ address, irqs }] })),
  ];
  const owners = all.flatMap(({ name, devices: list }) => list.map(({ address }) => ({ name, address })));
  const memory = Array.from({ length: prng.below(5) }, (_, n): MemoryItem => {
    const pageSize = prng.pick([4096, 65536, 2 << 20, GiB]);
    const length = pageSize * prng.between(1, 64);
    if (owners.length > 0 && prng.oneIn(3)) {
      const { name, address } = prng.pick(owners);
      return { kind: "bar", container: name, device: address, region: prng.below(6), offset: pageSize, length };
    }
    const name = prng.oneIn(2) ? undefined : randomName(prng, `r${n}`);
    const label = randomName(prng, "");
    return { kind: "file", name, descriptor: fd(), length, pageSize, locked: prng.oneIn(2), label };
  });
  const containers = skeletons.map((container) => ({
    ...container,
    mappings: randomMappings(prng, memory, container.mode),
  }));
  const sockets = plugs.map((plug) => ({ ...plug, mappings: randomMappings(prng, memory, "vfio-user") }));
  const connections = randomConnections(prng, all, fd);
  const descriptors = Array.from({ length: prng.below(4) }, (_, n) => ({
    name: randomName(prng, `d${n}`),
    descriptor: fd(),
  }));
  const writer = { version: randomName(prng, ""), node: "v24.0.0", pid: prng.next() };
  const manifest = { writer, memory, containers, sockets, connections, descriptors };
  // No order of the descriptors is to be taken for granted.
  return { manifest: renumber(manifest, shuffled(prng, descriptorCount)), descriptorCount };
}

/** The same manifest with its descriptors in another order. */
function renumber(manifest: Manifest, order: readonly number[]): Manifest {
  const to = (index: number) => order[index] ?? -1;
  const optional = (index: number | undefined) => (index === undefined ? undefined : to(index));
  return {
    ...manifest,
    memory: manifest.memory.map((item) => (item.kind === "bar" ? item : { ...item, descriptor: to(item.descriptor) })),
    containers: manifest.containers.map((container) => ({
      ...container,
      descriptor: to(container.descriptor),
      groups: container.groups.map(({ id, descriptor }) => ({ id, descriptor: to(descriptor) })),
      devices: container.devices.map((device) => ({
        ...device,
        descriptor: to(device.descriptor),
        irqs: device.irqs.map((irq) => ({
          ...irq,
          vectors: irq.vectors.map(({ index, eventfd }) => ({ index, eventfd: to(eventfd) })),
          unmask: optional(irq.unmask),
        })),
        ioeventfds: device.ioeventfds.map((item) => ({ ...item, eventfd: to(item.eventfd) })),
      })),
    })),
    sockets: manifest.sockets.map((socket) => ({ ...socket, ...withDescriptors(socket, to) })),
    connections: manifest.connections.map((connection) =>
      connection.kind === "intx"
        ? connection
        : { ...connection, vectors: connection.vectors.map(({ index, guest }) => ({ index, guest: optional(guest) })) },
    ),
    descriptors: manifest.descriptors.map(({ name, descriptor }) => ({ name, descriptor: to(descriptor) })),
  };
}

/** A frozen part that fits a manifest, and is otherwise anything. */
export function randomFrozen(prng: Prng, { connections }: Manifest): FrozenPart {
  return {
    connections: connections.map((connection) => ({
      vectors: (connection.kind === "intx" ? [] : connection.vectors).map(({ index }) => {
        const message = { address: prng.bigBelow((1n << 64n) - 1n), data: prng.next() };
        return {
          index,
          message: prng.oneIn(3) ? undefined : prng.oneIn(2) ? message : { ...message, deviceId: prng.next() },
          masked: prng.oneIn(2),
          toGuest: connection.kind === "msix" && connection.masking === "eventfd" && prng.oneIn(2),
        };
      }),
    })),
    times: Array.from({ length: prng.below(8) }, (_, n) => ({
      phase: randomName(prng, `p${n}`),
      at: prng.bigBelow((1n << 64n) - 1n),
    })),
    state: Uint8Array.from({ length: prng.below(500) }, () => prng.below(256)),
  };
}

// ---- bytes -----------------------------------------------------------------------------------------------------------

export const HEADER = 28;

/** The same bytes with a length and a checksum that are right. */
export function sealed(bytes: Uint8Array): Uint8Array {
  const copy = Uint8Array.from(bytes);
  const view = new DataView(copy.buffer);
  view.setBigUint64(16, BigInt(copy.length), true);
  view.setUint32(24, crc32(copy.subarray(28), crc32(copy.subarray(0, 24))), true);
  return copy;
}

/** One record: its number and what is in it. */
export type RawRecord = readonly [number: number, payload: Uint8Array];

/** Takes a document apart. */
export function recordsOf(bytes: Uint8Array): RawRecord[] {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const records: RawRecord[] = [];
  for (let at = HEADER; at < bytes.length; ) {
    const length = Number(view.getBigUint64(at + 4, true));
    records.push([view.getUint32(at, true), bytes.subarray(at + 12, at + 12 + length)]);
    at += 12 + length;
  }
  return records;
}

/** Puts one together, with the header of another. */
export function documentOf(header: Uint8Array, records: readonly RawRecord[]): Uint8Array {
  const parts = records.flatMap(([number, payload]) => {
    const head = new DataView(new ArrayBuffer(12));
    head.setUint32(0, number, true);
    head.setBigUint64(4, BigInt(payload.length), true);
    return [new Uint8Array(head.buffer), payload];
  });
  return sealed(Buffer.concat([header.subarray(0, HEADER), ...parts]));
}
