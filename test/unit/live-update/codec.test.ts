import { readdirSync, readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { VfioError } from "../../../lib/base/errors.js";
import { FORMAT_VERSION } from "../../../lib/live-update/manifest/document.js";
import { MAX_MANIFEST } from "../../../lib/live-update/manifest/faults.js";
import { decodeFrozen, encodeFrozen, type FrozenPart } from "../../../lib/live-update/manifest/frozen.js";
import {
  decodeManifest,
  descriptorUses,
  encodeManifest,
  type Manifest,
  writeManifest,
} from "../../../lib/live-update/manifest/manifest.js";
import { type SocketItem, socket as socketPart } from "../../../lib/live-update/manifest/socket.js";
import { refusal } from "../../helpers/refusal.js";
import { forSeeds } from "../prng.js";
import * as version1 from "./fixtures/version-1.js";
import * as version2 from "./fixtures/version-2.js";
import {
  documentOf,
  frozenSample,
  HEADER,
  type Mutable,
  type RawRecord,
  randomFrozen,
  randomManifest,
  recordsOf,
  sample,
  sealed,
} from "./manifests.js";

function refusalOf(decode: () => unknown): VfioError {
  const error = refusal(decode);
  expect(error.object).toMatch(/^the manifest/);
  expect(error.why).toBeTypeOf("string");
  return error;
}

const { manifest, descriptorCount } = sample();
const bytes = encodeManifest(manifest);
const frozen = frozenSample();
const frozenBytes = encodeFrozen(frozen);

/** The decoder's refusal of a manifest's bytes. */
function manifestRefusal(changed: Uint8Array, count = descriptorCount): VfioError {
  return refusalOf(() => decodeManifest(changed, count));
}

/** With some bytes changed, and a length and checksum that are right. */
function patched(original: Uint8Array, at: number, ...values: readonly number[]): Uint8Array {
  const copy = Uint8Array.from(original);
  copy.set(values, at);
  return sealed(copy);
}

describe("what goes in comes out", () => {
  it("of a manifest with a bit of everything", () => {
    expect(decodeManifest(bytes, descriptorCount)).toEqual(manifest);
    expect(decodeFrozen(frozenBytes, manifest)).toEqual(frozen);
  });

  it("of an empty one", () => {
    const empty: Manifest = {
      writer: { version: "", node: "", pid: 0 },
      memory: [],
      containers: [],
      sockets: [],
      connections: [],
      descriptors: [],
    };
    expect(decodeManifest(encodeManifest(empty), 0)).toEqual(empty);
    const part: FrozenPart = { connections: [], times: [], state: new Uint8Array() };
    expect(decodeFrozen(encodeFrozen(part), empty)).toEqual(part);
  });

  it("of any, and into the same bytes again", { timeout: 60_000 }, () => {
    const totals = { connections: 0, mappings: 0, sockets: 0, bars: 0, descriptors: 0 };
    forSeeds(500, (prng) => {
      const random = randomManifest(prng);
      const encoded = encodeManifest(random.manifest);
      const decoded = decodeManifest(encoded, random.descriptorCount);
      expect(decoded).toEqual(random.manifest);
      expect(encodeManifest(decoded)).toEqual(encoded);
      const part = randomFrozen(prng, random.manifest);
      const encodedPart = encodeFrozen(part);
      const decodedPart = decodeFrozen(encodedPart, random.manifest);
      expect(decodedPart).toEqual(part);
      expect(encodeFrozen(decodedPart)).toEqual(encodedPart);

      totals.connections += decoded.connections.length;
      totals.mappings += decoded.containers.reduce((sum, { mappings }) => sum + mappings.length, 0);
      totals.sockets += decoded.sockets.length;
      totals.bars += decoded.memory.filter(({ kind }) => kind === "bar").length;
      totals.descriptors += random.descriptorCount;
    });
    // They were not all empty.
    if (process.env.SEED === undefined) for (const total of Object.values(totals)) expect(total).toBeGreaterThan(100);
  });

  it("of a view into a larger buffer", () => {
    const outer = new Uint8Array(bytes.length + 64).fill(0xaa);
    outer.set(bytes, 33);
    expect(decodeManifest(outer.subarray(33, 33 + bytes.length), descriptorCount)).toEqual(manifest);
  });

  it("of a message whose address is a number", () => {
    const part: Mutable<FrozenPart> = frozenSample();
    const message = { address: 0xfee0_1000, data: 0x4021 };
    const vector = part.connections[0]?.vectors[0];
    if (vector !== undefined) vector.message = message;
    expect(decodeFrozen(encodeFrozen(part), manifest)).toEqual(frozen);
  });

  it("of the program's own state, which is not copied", () => {
    const state = decodeFrozen(frozenBytes, manifest).state;
    expect(state.buffer).toBe(frozenBytes.buffer);
  });

  it("speaks of every descriptor once", () => {
    const uses = [...descriptorUses(manifest)];
    expect(uses.map(({ index }) => index).sort((a, b) => a - b)).toEqual(
      Array.from({ length: descriptorCount }, (_, index) => index),
    );
    expect(uses.map(({ expected, what }) => `${what}: ${expected.kind}`)).toEqual(
      expect.arrayContaining([
        'memory "ram": memory',
        'container "vm": legacy-container',
        'container "swift": iommufd',
        'group 14 in container "vm": group',
        'device "0000:01:00.0" in container "vm": device',
        'vector 7 of msix of device "0000:01:00.0" in container "vm": eventfd',
        'unmask of intx of device "0000:06:01.0" in container "vm": eventfd',
        'the ioeventfd at 0x3810 in region 0 of device "0000:01:00.0" in container "vm": eventfd',
        'the guest\'s eventfd of vector 7 in the connection of msix of "0000:01:00.0" to machine "guest": eventfd',
        'container "disk": socket',
        'twin socket of container "disk": socket',
        'region 0 in container "disk": any',
        'vector 1 of msix of the device of container "disk": eventfd',
        'unmask of intx of the device of container "toy": eventfd',
        'the guest\'s eventfd of vector 1 in the connection of msix of "nvme" to machine "guest": eventfd',
        'descriptor "log": any',
      ]),
    );
  });
});

describe("a version", () => {
  it.each([
    [1, version1],
    [2, version2],
  ])("%i loads for ever", (number, { manifestBytes, frozenBytes, descriptorCount, manifest, frozen }) => {
    for (const bytes of [manifestBytes, frozenBytes]) expect(bytes[12]).toBe(number);
    expect(decodeManifest(manifestBytes, descriptorCount)).toEqual(manifest);
    expect(decodeFrozen(frozenBytes, manifest)).toEqual(frozen);
  });

  it("has its documents here", () => {
    const directory = new URL("fixtures", import.meta.url);
    const names = Array.from({ length: FORMAT_VERSION }, (_, index) => `version-${index + 1}.ts`);
    expect(readdirSync(directory).sort()).toEqual(names);
  });

  it("that is written now is as its document says", () => {
    const page = readFileSync(new URL("../../../docs/live-update-manifest.md", import.meta.url), "utf8");
    const dump = /```hexdump\n(.*?)```/s.exec(page)?.[1] ?? "";
    const digits = dump.replace(/^[0-9a-f]+:|\|.*$/gm, "").replace(/\s/g, "");
    const example: Manifest = {
      writer: { version: "0.2.0", node: "v20.19.0", pid: 4711 },
      memory: [
        { kind: "file", name: "ram", descriptor: 1, length: 65536, pageSize: 4096, locked: false, label: "ram" },
      ],
      containers: [
        {
          name: "vm",
          mode: "iommufd",
          descriptor: 0,
          ioas: 1,
          groups: [],
          devices: [],
          mappings: [{ iova: 0x10_0000n, length: 65536, read: true, write: true, memory: 0, offset: 0 }],
        },
      ],
      sockets: [],
      connections: [],
      descriptors: [],
    };
    expect(decodeManifest(Buffer.from(digits, "hex"), 2)).toEqual(example);
    expect(Buffer.from(encodeManifest(example)).toString("hex")).toBe(digits);
  });
});

describe("the header", () => {
  it("refuses what is no part of a hand-over", () => {
    const magic = manifestRefusal(patched(bytes, 0, 0x51));
    expect(magic).toMatchObject({ code: "EPROTO", syscall: "decode", object: "the manifest" });
    expect(magic.why).toContain('it does not begin with "VFIOLIVE"');
    expect(manifestRefusal(new Uint8Array()).why).toContain("VFIOLIVE");
  });

  it("refuses the other document", () => {
    expect(manifestRefusal(frozenBytes).why).toContain(
      "it is document 2 of a hand-over, and the manifest is document 1",
    );
    expect(refusalOf(() => decodeFrozen(bytes, manifest))).toMatchObject({
      code: "EPROTO",
      object: "the manifest's frozen part",
      why: "it is document 1 of a hand-over, and the manifest's frozen part is document 2",
    });
  });

  it("refuses a newer version, whatever else has changed in it, with both versions and what to do", () => {
    for (const version of [FORMAT_VERSION + 1, 0xffff_ffff]) {
      const newer = Uint8Array.from(bytes.subarray(0, 40));
      new DataView(newer.buffer).setUint32(12, version, true);
      const error = manifestRefusal(newer);
      expect(error.code).toBe("EPROTONOSUPPORT");
      expect(error.why).toBe(
        `it is in version ${version} of the format, and this process reads up to version ${FORMAT_VERSION}`,
      );
      expect(error.fix).toContain("update the package vfio in the new process");
    }
    const late = Uint8Array.from(frozenBytes);
    new DataView(late.buffer).setUint32(12, FORMAT_VERSION + 1, true);
    expect(refusalOf(() => decodeFrozen(late, manifest)).code).toBe("EPROTONOSUPPORT");
  });

  it("refuses a version that there never was", () => {
    expect(manifestRefusal(patched(bytes, 12, 0)).why).toContain("version 0");
  });

  it("refuses what is truncated, and what goes on", () => {
    const length = bytes.length;
    expect(manifestRefusal(bytes.subarray(0, -1)).why).toContain(
      `it is truncated: ${length - 1} bytes came of ${length}`,
    );
    expect(manifestRefusal(Buffer.concat([bytes, Uint8Array.of(0, 0)])).why).toContain("2 bytes follow its end");
    expect(manifestRefusal(bytes.subarray(0, 20)).why).toContain("the header ends too early");
  });

  it("refuses a length that no number can hold", () => {
    const long = Uint8Array.from(bytes);
    long.fill(0xff, 16, 24);
    expect(manifestRefusal(long).why).toContain("the length in the header is 2^53 or more");
  });

  it("refuses a wrong checksum", () => {
    const flipped = Uint8Array.from(bytes);
    flipped[24] = (flipped[24] ?? 0) ^ 1;
    expect(manifestRefusal(flipped)).toMatchObject({ code: "EPROTO", why: "its checksum is wrong" });
  });

  it("refuses more than there can be", () => {
    expect(manifestRefusal(new Uint8Array(MAX_MANIFEST + 1))).toMatchObject({ code: "EMSGSIZE" });
    const { manifest: long } = sample();
    const name = (n: number) => `${n}`.padStart(4096);
    for (let n = 0; n < MAX_MANIFEST / 4096; n++) {
      long.descriptors.push({ name: name(n), descriptor: descriptorCount + n });
    }
    expect(refusalOf(() => encodeManifest(long))).toMatchObject({ code: "EMSGSIZE", syscall: "encode" });
  });

  it("refuses arguments of the wrong type", () => {
    expect(() => decodeManifest(bytes, -1)).toThrow(expect.objectContaining({ code: "ERR_OUT_OF_RANGE" }));
    expect(() => decodeManifest(bytes, 1.5)).toThrow(expect.objectContaining({ code: "ERR_OUT_OF_RANGE" }));
    const text: unknown = "VFIOLIVE";
    expect(() => Reflect.apply(decodeManifest, undefined, [text, 0])).toThrow(
      expect.objectContaining({ code: "ERR_INVALID_ARG_TYPE" }),
    );
    expect(() => Reflect.apply(decodeFrozen, undefined, [text, manifest])).toThrow(
      expect.objectContaining({ code: "ERR_INVALID_ARG_TYPE" }),
    );
  });
});

describe("the records", () => {
  const records = recordsOf(bytes);
  const names = ["writer", "memory", "containers", "connections", "descriptors", "sockets"];
  const rebuilt = (change: (list: RawRecord[]) => void): Uint8Array => {
    const list = [...records];
    change(list);
    return documentOf(bytes, list);
  };

  it("are as many as there should be", () => {
    expect(rebuilt(() => undefined)).toEqual(Uint8Array.from(bytes));
    expect(records.map(([number]) => number)).toEqual([1, 2, 3, 4, 5, 6]);
    expect(recordsOf(frozenBytes).map(([number]) => number)).toEqual([1, 2, 3]);
  });

  it.each(names.map((name, index) => [name, index] as const))("cannot do without %s", (name, index) => {
    const error = manifestRefusal(rebuilt((list) => list.splice(index, 1)));
    expect(error.code).toBe("EPROTO");
    expect(error.why).toContain(`the record "${name}" is missing`);
  });

  it.each(names.map((name, index) => [name, index] as const))("cannot have %s twice", (name, index) => {
    const error = manifestRefusal(
      rebuilt((list) => {
        const record = list[index];
        if (record !== undefined) list.splice(index, 0, record);
      }),
    );
    expect(error.why).toContain(`the record "${name}" is there twice`);
  });

  it("come in their order", () => {
    expect(manifestRefusal(rebuilt((list) => list.reverse())).why).toContain(
      'the record "writer" is missing: the record "sockets" is in its place',
    );
  });

  it.each([0, 2, 5, 6])("of an unknown number are refused, at place %i", (place) => {
    const error = manifestRefusal(rebuilt((list) => list.splice(place, 0, [7, Uint8Array.of(1, 2, 3)])));
    expect(error).toMatchObject({ code: "EPROTO", why: "unknown record 7 in version 2 of the format" });
  });

  it.each([0, 2, 5])("of a later version are unknown in an older one, at place %i", (place) => {
    const list = recordsOf(version1.manifestBytes);
    list.splice(place, 0, [6, Uint8Array.of(0, 0, 0, 0)]);
    const error = manifestRefusal(documentOf(version1.manifestBytes, list), version1.descriptorCount);
    expect(error).toMatchObject({ code: "EPROTO", why: "unknown record 6 in version 1 of the format" });
  });

  it("of an older version do not make a later one", () => {
    const relabelled = patched(version1.manifestBytes, 12, 2);
    expect(manifestRefusal(relabelled, version1.descriptorCount)).toMatchObject({
      code: "EPROTO",
      why: 'the record "sockets" is missing',
    });
  });

  it("are read to their ends", () => {
    const error = manifestRefusal(
      rebuilt((list) => list.splice(4, 1, [5, Buffer.concat([records[4]?.[1] ?? new Uint8Array(), Buffer.alloc(3)])])),
    );
    expect(error.why).toBe('3 bytes are left over in the record "descriptors"');
  });

  it("end where they say", () => {
    const longer = Uint8Array.from(bytes);
    longer.set([0xff, 0xff], HEADER + 4);
    expect(manifestRefusal(sealed(longer)).why).toContain('the record "writer" ends too early: 65535 bytes are needed');
  });
});

describe("a value", () => {
  /** Where the bytes of two manifests differ first, behind the header. */
  const placeOf = (change: (changed: Mutable<Manifest>) => void): number => {
    const other = sample().manifest;
    change(other);
    const changed = writeManifest(other);
    for (let at = HEADER; ; at++) if (bytes[at] !== changed[at]) return at;
  };
  const container = ({ containers }: Mutable<Manifest>, index = 0) => containers[index] ?? expect.unreachable();
  const device = (changed: Mutable<Manifest>) => container(changed).devices[0] ?? expect.unreachable();

  it.each<[string, string, (changed: Mutable<Manifest>) => void]>([
    [
      "kind of memory",
      'the field "kind" in the record "memory" is 99, which has no meaning',
      ({ memory }) => memory.reverse(),
    ],
    [
      "mode of container",
      'the field "mode" in the record "containers" is 99, which has no meaning',
      (m) => {
        container(m).mode = "type1";
      },
    ],
    [
      "kind of interrupt",
      'the field "kind" in the record "containers" is 99, which has no meaning',
      (m) => void device(m).irqs.reverse(),
    ],
    [
      "kind of connection",
      'the field "kind" in the record "connections" is 99, which has no meaning',
      ({ connections }) => connections.push(...connections.splice(0, 1)),
    ],
    [
      "masking",
      'the field "masking" in the record "connections" is 99, which has no meaning',
      ({ connections: [first] }) => {
        if (first?.kind === "msix") first.masking = "irqfd";
      },
    ],
    [
      "delivery",
      'the field "delivery" in the record "connections" is 99, which has no meaning',
      ({ connections: [, second] }) => {
        if (second?.kind === "intx") second.delivery = "user";
      },
    ],
    [
      "width",
      'the field "width" in the record "containers" is 99, not 1, 2, 4 or 8',
      (m) => {
        const [first] = device(m).ioeventfds;
        if (first !== undefined) first.width = 8;
      },
    ],
    [
      "flag",
      'the field "locked" in the record "memory" is 99, neither 0 nor 1',
      ({ memory: [first] }) => {
        if (first?.kind === "file") first.locked = false;
      },
    ],
    [
      "access",
      "unknown access bits in a mapping: 0x63",
      (m) => {
        const [first] = container(m).mappings;
        if (first !== undefined) first.write = false;
      },
    ],
  ])("of an unknown %s is refused", (_, why, change) => {
    const error = manifestRefusal(patched(bytes, placeOf(change), 99));
    expect(error.code).toBe("EPROTO");
    expect(error.why).toContain(why);
  });

  it("that nobody knows among a vfio-user container's bits is refused", () => {
    const place = placeOf(({ sockets: [first] }) => {
      if (first !== undefined) first.trustServer = true;
    });
    expect(manifestRefusal(patched(bytes, place, 0x15)).why).toBe(
      'the field "bits" in the record "sockets" is 0x15, of which the bits 0xf are known',
    );
  });

  it("of a name in the abstract namespace is refused without the name", () => {
    const place = placeOf(({ sockets: [, , third] }) => {
      if (third !== undefined) third.trustServer = false;
    });
    const error = manifestRefusal(patched(bytes, place, 1 | 2 | 8));
    expect(error).toMatchObject({ code: "EPROTO" });
    expect(error.why).toBe('the socket of container "passed" is in the abstract namespace, and has no name');
  });

  it("of mode 6 is refused: a vfio-user container has a record of its own", () => {
    const place = placeOf((m) => {
      container(m).mode = "type1";
    });
    expect(manifestRefusal(patched(bytes, place, 6)).why).toContain(
      'the field "mode" in the record "containers" is 6,',
    );
  });

  it("of 2^53 or more is refused where it must be a number", () => {
    const place = placeOf(({ memory: [first] }) => {
      if (first?.kind === "file") first.length = 2 ** 50;
    });
    // The highest byte of the length's eight.
    const length = patched(bytes, place + 2, 0xff);
    expect(manifestRefusal(length).why).toContain('the field "length" in the record "memory" is 2^53 or more');
    const mapping = placeOf((m) => {
      const [first] = container(m).mappings;
      if (first !== undefined) first.offset = 1;
    });
    expect(manifestRefusal(patched(bytes, mapping + 7, 0xff)).why).toContain(
      "a mapping's length or offset is 2^53 or more",
    );
  });

  it("that must be there is not left out", () => {
    const none = [0xff, 0xff, 0xff, 0xff];
    const descriptor = placeOf((m) => {
      container(m).descriptor = 99;
    });
    expect(manifestRefusal(patched(bytes, descriptor, ...none)).why).toContain('the field "descriptor" is missing');
    const ioas = placeOf((m) => {
      container(m, 1).ioas = 99;
    });
    expect(manifestRefusal(patched(bytes, ioas, ...none)).why).toContain('the field "ioas" is missing');
  });
});

describe("a text", () => {
  // A descriptor's name: 2 bytes of length, the bytes, the index.
  const withName = (length: number, name: Uint8Array): Uint8Array => {
    const records = recordsOf(bytes);
    const payload = new DataView(new ArrayBuffer(10));
    payload.setUint32(0, 1, true);
    payload.setUint16(4, length, true);
    const head = new Uint8Array(payload.buffer);
    records[4] = [5, Buffer.concat([head.subarray(0, 6), name, head.subarray(6)])];
    return documentOf(bytes, records);
  };

  it.each<[string, Uint8Array, string]>([
    ["too long", withName(4097, new Uint8Array(4097).fill(0x61)), "is 4097 bytes long, more than 4096"],
    ["not UTF-8", withName(2, Uint8Array.of(0x61, 0xff)), "is not UTF-8"],
    ["overlong UTF-8", withName(2, Uint8Array.of(0xc0, 0x80)), "is not UTF-8"],
    ["half of a surrogate pair", withName(3, Uint8Array.of(0xed, 0xa0, 0x80)), "is not UTF-8"],
    ["one with a NUL", withName(3, Uint8Array.of(0x61, 0, 0x61)), "has a NUL in it"],
    ["missing", withName(0xffff, new Uint8Array()), 'the field "name" is missing'],
    ["longer than its record", withName(4000, new Uint8Array(8)), 'the record "descriptors" ends too early'],
  ])("that is %s is refused", (_, changed, why) => {
    const error = manifestRefusal(changed);
    expect(error.code).toBe("EPROTO");
    expect(error.why).toContain(why);
  });

  it("of 4096 bytes with a byte order mark is kept as it is", () => {
    const { manifest: changed } = sample();
    const [log] = changed.descriptors;
    if (log !== undefined) log.name = `\ufeff${"é".repeat(2046)}x`;
    expect(decodeManifest(encodeManifest(changed), descriptorCount)).toEqual(changed);
  });

  it("cannot disturb a terminal from within a message", () => {
    const { manifest: changed } = sample();
    for (const item of changed.descriptors) item.name = `\u001b[2J${"x".repeat(4000)}`;
    const { message } = refusalOf(() => encodeManifest(changed));
    expect(message).not.toContain("\u001b");
    expect(message.length).toBeLessThan(300);
  });
});

describe("a count", () => {
  it("is held against the bytes before anything is made", () => {
    const huge = [0xff, 0xff, 0xff, 0xff];
    const counts: [number, string][] = [
      [2, "memory"],
      [3, "containers"],
      [4, "connections"],
      [5, "descriptors"],
      [6, "sockets"],
    ];
    for (const [number, name] of counts) {
      const records = recordsOf(bytes).map(
        ([n, payload]): RawRecord => [
          n,
          n === number ? Buffer.concat([Uint8Array.from(huge), payload.subarray(4)]) : payload,
        ],
      );
      expect(manifestRefusal(documentOf(bytes, records)).why).toContain(
        `the list in the record "${name}" has 4294967295 items, which do not fit`,
      );
    }
  });

  it("of anything, anywhere, is no reason to take memory", { timeout: 60_000 }, () => {
    // Each four bytes in turn say 2^32 - 1 and 2^31: whichever of them is a count is hostile then.
    globalThis.gc?.();
    const before = process.memoryUsage();
    let most = 0;
    for (let at = HEADER; at < bytes.length - 4; at++) {
      for (const top of [0xff, 0x80]) {
        try {
          decodeManifest(
            patched(bytes, at, top === 0xff ? 0xff : 0, top === 0xff ? 0xff : 0, top === 0xff ? 0xff : 0, top),
            descriptorCount,
          );
        } catch (error) {
          expect(error).toBeInstanceOf(VfioError);
        }
      }
      if (at % 64 === 0) {
        globalThis.gc?.();
        const now = process.memoryUsage();
        most = Math.max(most, now.heapUsed + now.arrayBuffers - before.heapUsed - before.arrayBuffers);
      }
    }
    expect(most).toBeLessThan(16 << 20);
  });

  it("is held against the number of descriptors where each item has one", () => {
    // A record of 2^20 groups fits into its bytes; 50 descriptors came.
    const count = 1 << 20;
    const view = new DataView(new ArrayBuffer(4 + 3 + 1 + 4 + 4 + 8 * count + 8));
    view.setUint32(0, 1, true);
    view.setUint16(4, 1, true);
    view.setUint8(6, 0x63);
    view.setUint8(7, 2);
    view.setUint32(12, count, true);
    const records = recordsOf(bytes).map(
      ([number, payload]): RawRecord => [number, number === 3 ? new Uint8Array(view.buffer) : payload],
    );
    expect(manifestRefusal(documentOf(bytes, records)).why).toContain(
      `the field "groups" in the record "containers" has 1048576 items, more than`,
    );
  });
});

describe("a vfio-user container", () => {
  const smallestSocket = socketPart.leastIn(FORMAT_VERSION);
  /** With other bytes in its record. */
  const withSockets = (payload: Uint8Array): Uint8Array =>
    documentOf(
      bytes,
      recordsOf(bytes).map(([number, old]): RawRecord => [number, number === 6 ? payload : old]),
    );
  const smallest = (): Mutable<SocketItem> => ({
    name: "",
    path: undefined,
    address: "",
    timeout: 1,
    postedWrites: false,
    trustServer: false,
    socket: 0,
    twin: undefined,
    agreement: { minor: 0, maxFds: 0, maxTransfer: 1, maxMaps: 0, pageSizes: 1n, writeMultiple: false },
    port: { flags: 0, numRegions: 0, numIrqs: 0, regions: [], irqs: [], posted: [] },
    device: { irqs: [], ioeventfds: [] },
    mappings: [],
  });
  const lengthOf = (socket: SocketItem) => {
    const record = recordsOf(writeManifest({ ...manifest, sockets: [socket] }))[5];
    // Behind the count.
    return (record?.[1].length ?? 0) - 4;
  };

  it("takes as much as is counted with, if it is the smallest", () => {
    const socket = smallest();
    expect(lengthOf(socket)).toBe(smallestSocket);
    const bytes = new Uint8Array();
    socket.port.regions = [
      { index: 0, status: 0, flags: 0, size: 0n, offset: 0n, capOffset: 0, bytes, file: undefined },
    ];
    expect(lengthOf(socket)).toBe(smallestSocket + 40);
    socket.port.irqs = [{ index: 0, status: 0, flags: 0, count: 0 }];
    expect(lengthOf(socket)).toBe(smallestSocket + 40 + 16);
  });

  it("has a descriptor, so there are no more of them", () => {
    const payload = new Uint8Array(4 + 1000 * smallestSocket);
    payload.set([0xe8, 3]);
    expect(manifestRefusal(withSockets(payload)).why).toBe(
      `the list in the record "sockets" has 1000 items, more than ${descriptorCount}`,
    );
  });

  it("says of its regions only whether writes are posted, however many bytes there are", () => {
    const other = sample().manifest;
    const socket = other.sockets[0] ?? expect.unreachable();
    socket.port.posted = new Array<boolean>(1 << 20).fill(true);
    expect(manifestRefusal(writeManifest(other)).why).toBe(
      'the field "posted" in the record "sockets" has 1048576 items, more than 3',
    );
  });

  it("has numbers of its own in every place, and each is read where it was written", () => {
    // Whatever was at the wrong place would have another value.
    const socket = smallest();
    Object.assign(socket, { name: "n", path: "p", address: "a", timeout: 101, socket: 0, twin: 1 });
    Object.assign(socket.agreement, { minor: 102, maxFds: 103, maxTransfer: 104, maxMaps: 105, pageSizes: 106n });
    Object.assign(socket.port, { flags: 107, numRegions: 1, numIrqs: 1, posted: [true] });
    const answer = Uint8Array.of(9, 8, 7);
    socket.port.regions = [
      { index: 0, status: 0, flags: 108, size: 109n, offset: 110n, capOffset: 111, bytes: answer, file: 2 },
    ];
    socket.port.irqs = [{ index: 0, status: -112, flags: 113, count: 114 }];
    const only: Manifest = {
      writer: { version: "", node: "", pid: 0 },
      memory: [],
      containers: [],
      sockets: [socket],
      connections: [],
      descriptors: [],
    };
    expect(decodeManifest(encodeManifest(only), 3)).toEqual(only);
  });

  it("keeps nothing of the bytes that it came in", () => {
    const copy = Uint8Array.from(bytes);
    const decoded = decodeManifest(copy, descriptorCount);
    copy.fill(0xff);
    expect(decoded).toEqual(manifest);
  });
});

describe("the frozen part", () => {
  const records = recordsOf(frozenBytes);
  const withRecord = (number: number, payload: Uint8Array): Uint8Array =>
    documentOf(
      frozenBytes,
      records.map(([n, old]): RawRecord => [n, n === number ? payload : old]),
    );
  const refused = (changed: Uint8Array): VfioError => {
    const error = refusalOf(() => decodeFrozen(changed, manifest));
    expect(error).toMatchObject({ code: "EPROTO", object: "the manifest's frozen part" });
    return error;
  };
  /** The connections, with one byte of the first vector changed: its index, bits, address, data, requester. */
  const withByte = (offset: number, value: number): Uint8Array => {
    const payload = Uint8Array.from(records[0]?.[1] ?? []);
    payload[8 + 24 + offset] = value;
    return withRecord(1, payload);
  };

  it("has no more phases than there can be, before any is read", () => {
    const payload = new Uint8Array(4 + 65 * 10);
    payload[0] = 65;
    expect(refused(withRecord(2, payload)).why).toBe('the list in the record "times" has 65 items, more than 64');
  });

  it("has no bits that nobody knows", () => {
    expect(refused(withByte(4, 0x14)).why).toBe(
      'the field "bits" in the record "connections" is 0x14, of which the bits 0xf are known',
    );
  });

  it.each([
    ["an address", 8, 1],
    ["data", 16, 1],
    ["a requester", 20, 1],
    ["a requester's bit", 4, 2],
  ])("has no %s without a message", (_, offset, value) => {
    expect(refused(withByte(offset, value)).why).toContain("has the numbers of a message, and no message");
  });

  it("is held against its manifest before any vector is read", () => {
    const payload = new Uint8Array(4 + (1 << 20));
    new DataView(payload.buffer).setUint32(0, 1 << 18, true);
    expect(refused(withRecord(1, payload)).why).toBe("262144 connections, and the manifest has 4");
  });
});

describe("damage", () => {
  it("to any bit is noticed", { timeout: 60_000 }, () => {
    for (const [original, decode] of [
      [bytes, (changed: Uint8Array) => decodeManifest(changed, descriptorCount)],
      [frozenBytes, (changed: Uint8Array) => decodeFrozen(changed, manifest)],
    ] as const) {
      const changed = Uint8Array.from(original);
      for (let at = 0; at < changed.length; at++) {
        for (let bit = 1; bit < 256; bit <<= 1) {
          changed[at] = (changed[at] ?? 0) ^ bit;
          refusalOf(() => decode(changed));
          changed[at] = (changed[at] ?? 0) ^ bit;
        }
      }
    }
  });

  it("by truncation at any byte is noticed, also where length and checksum were made to fit", () => {
    for (const [original, decode] of [
      [bytes, (changed: Uint8Array) => decodeManifest(changed, descriptorCount)],
      [frozenBytes, (changed: Uint8Array) => decodeFrozen(changed, manifest)],
    ] as const) {
      for (let length = 0; length < original.length; length++) {
        refusalOf(() => decode(original.subarray(0, length)));
        if (length >= HEADER) refusalOf(() => decode(sealed(original.subarray(0, length))));
      }
    }
  });
});
