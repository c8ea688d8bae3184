import { constants } from "node:os";
import { describe, expect, test } from "vitest";
import {
  CommandNumber,
  commandName,
  errorReply,
  HEADER_COMMAND,
  HEADER_ERROR,
  HEADER_NO_REPLY,
  HEADER_REPLY,
  HEADER_SIZE,
  HEADER_TYPE_MASK,
  ProtocolError,
  readHeader,
  replyErrno,
  stampHeader,
} from "../../../lib/vfio-user/protocol/constants.js";
import * as messages from "../../../lib/vfio-user/protocol/messages.js";
import { Prng } from "../prng.js";

const { EINVAL, EEXIST } = constants.errno;
const data = Uint8Array.of(1, 2, 3, 4, 5);

function hex(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString("hex");
}

describe("the header", () => {
  test("flags are single bits, apart from the type's", () => {
    for (const flag of [HEADER_NO_REPLY, HEADER_ERROR]) {
      expect(flag & (flag - 1)).toBe(0);
      expect(flag & HEADER_TYPE_MASK).toBe(0);
    }
  });

  test("has its bytes where the specification has them", () => {
    const message = messages.regionRead.request.encode({ offset: 0n, region: 7, count: 4 });
    stampHeader(message, 0x1234, CommandNumber.regionRead, HEADER_COMMAND);
    expect(hex(message)).toBe(`341209002000000000000000000000000000000000000000${"0700000004000000"}`);
    expect(readHeader(message)).toEqual({ id: 0x1234, command: 9, size: 32, flags: 0, error: 0 });
  });

  test("an error reply is a header alone", () => {
    expect(hex(errorReply(1, 2, EEXIST))).toBe("01000200100000002100000011000000");
    expect(hex(errorReply(1, 2, -EEXIST))).toBe("01000200100000002100000011000000");
  });

  test("an errno that is none means EINVAL", () => {
    const header = { id: 0, command: 0, size: 16, flags: HEADER_REPLY | HEADER_ERROR };
    expect(replyErrno({ ...header, error: EEXIST })).toBe(EEXIST);
    for (const error of [0, 4096, 0xffff_ffff]) expect(replyErrno({ ...header, error })).toBe(EINVAL);
  });

  test("names", () => {
    expect(commandName(CommandNumber.deviceGetRegionIoFds)).toBe("VFIO_USER_DEVICE_GET_REGION_IO_FDS");
    expect(commandName(14)).toBe("command 14");
  });
});

/** A value for each message; what is decoded is the same again. */
const samples = {
  version: [messages.version, { major: 0, minor: 2, capabilities: { max_msg_fds: 16, write_multiple: true } }],
  dmaMap: [messages.dmaMap, { flags: 3, offset: 4096n, iova: 0xffff_ffff_ffff_f000n, size: 4096n }],
  dmaUnmap: [messages.dmaUnmap, { flags: 0, iova: 4096n, size: 8192n, argsz: 24 }],
  dmaUnmapWithBitmap: [
    messages.dmaUnmap,
    { flags: 1, iova: 4096n, size: 8192n, argsz: 48, bitmap: { pageSize: 4096n, size: 8n } },
  ],
  deviceGetInfo: [messages.deviceGetInfo, { argsz: 16 }],
  deviceGetRegionInfo: [messages.deviceGetRegionInfo, { argsz: 64, index: 8 }],
  deviceGetRegionIoFds: [messages.deviceGetRegionIoFds, { argsz: 4096, index: 2 }],
  deviceGetIrqInfo: [messages.deviceGetIrqInfo, { argsz: 16, index: 4 }],
  deviceSetIrqs: [messages.deviceSetIrqs, { flags: 0x22, index: 0, start: 0, count: 5, data }],
  regionRead: [messages.regionRead, { offset: 1n << 40n, region: 1, count: 1 << 20 }],
  regionWrite: [messages.regionWrite, { offset: 4n, region: 1, data }],
  regionWriteMulti: [
    messages.regionWriteMulti,
    [
      { offset: 4n, region: 1, data },
      { offset: 8n, region: 0, data: new Uint8Array(8) },
    ],
  ],
  dmaRead: [messages.dmaRead, { iova: 1n << 63n, count: 1n << 33n }],
  dmaWrite: [messages.dmaWrite, { iova: 1n << 63n, data }],
  deviceReset: [messages.deviceReset, undefined],
  deviceFeature: [messages.deviceFeature, { argsz: 16, flags: 0x10001, data }],
  migDataRead: [messages.migDataRead, 4096],
  migDataWrite: [messages.migDataWrite, data],
} as const;

const replies = {
  version: [messages.version, { major: 0, minor: 0 }],
  dmaUnmap: [messages.dmaUnmap, { flags: 0, iova: 4096n, size: 8192n }],
  dmaUnmapWithBitmap: [
    messages.dmaUnmap,
    { flags: 1, iova: 4096n, size: 8192n, bitmap: { pageSize: 4096n, bits: new Uint8Array(8) } },
  ],
  deviceGetInfo: [messages.deviceGetInfo, { argsz: 16, flags: 3, numRegions: 9, numIrqs: 5 }],
  deviceGetRegionIoFds: [
    messages.deviceGetRegionIoFds,
    {
      argsz: 96,
      index: 2,
      count: 2,
      entries: [
        { offset: 0n, size: 4n, fdIndex: 0, type: 0, flags: 1, data: 77n },
        { offset: 4096n, size: 0n, fdIndex: 1, type: 1, flags: 2, data: 1n << 63n },
      ],
    },
  ],
  deviceGetIrqInfo: [messages.deviceGetIrqInfo, { argsz: 16, flags: 7, index: 0, count: 1 }],
  regionRead: [messages.regionRead, { offset: 4n, region: 1, data }],
  regionWrite: [messages.regionWrite, { offset: 4n, region: 1, count: 5 }],
  regionWriteMulti: [messages.regionWriteMulti, 200],
  dmaRead: [messages.dmaRead, { iova: 4n, data }],
  dmaWrite: [messages.dmaWrite, { iova: 4n, count: 5n }],
  deviceFeature: [messages.deviceFeature, { argsz: 13, flags: 0x10001, data }],
  migDataRead: [messages.migDataRead, data],
} as const;

/** The two formats of a sample, with their types forgotten: each was written for its own command. */
interface Sample {
  readonly format: messages.Format<unknown>;
  readonly value: unknown;
}

function formats(): readonly (readonly [string, Sample])[] {
  const all: (readonly [string, Sample])[] = [];
  for (const [name, [command, value]] of Object.entries(samples)) {
    all.push([`${name}, request`, { format: erase(command.request), value }]);
  }
  for (const [name, [command, value]] of Object.entries(replies)) {
    all.push([`${name}, reply`, { format: erase(command.reply), value }]);
  }
  return all;
}

function erase(format: { encode(value: never): Uint8Array; decode(payload: Uint8Array): unknown }): Sample["format"] {
  return {
    encode: (value) => Reflect.apply(format.encode, format, [value]),
    decode: (payload) => format.decode(payload),
  };
}

describe.each(formats())("%s", (_, { format, value }) => {
  test("there and back", () => {
    const message = format.encode(value);
    expect(format.decode(message.subarray(HEADER_SIZE))).toEqual(value);
  });

  test("cut short anywhere, it is refused or still consistent, and never read beyond", () => {
    const payload = format.encode(value).subarray(HEADER_SIZE);
    for (let length = 0; length < payload.length; length++) {
      // At the end of the memory: a read beyond it is a RangeError.
      const cut = payload.slice(0, length);
      try {
        format.decode(cut);
      } catch (error) {
        expect(error).toBeInstanceOf(ProtocolError);
      }
    }
  });
});

test("the fixed parts have the sizes of the specification", () => {
  const size = (message: Uint8Array) => message.length - HEADER_SIZE;
  expect(size(messages.dmaMap.request.encode(samples.dmaMap[1]))).toBe(32);
  expect(size(messages.dmaUnmap.request.encode(samples.dmaUnmap[1]))).toBe(24);
  expect(size(messages.deviceGetRegionInfo.request.encode({ argsz: 32, index: 0 }))).toBe(32);
  expect(size(messages.deviceSetIrqs.request.encode({ ...samples.deviceSetIrqs[1], data: new Uint8Array(0) }))).toBe(
    20,
  );
  expect(size(messages.dmaRead.request.encode({ iova: 0n, count: 0n }))).toBe(16);
  expect(size(messages.regionWriteMulti.request.encode(samples.regionWriteMulti[1]))).toBe(8 + 2 * 24);
});

test("a region's info with capabilities", () => {
  const message = messages.deviceGetRegionInfo.answer({
    argsz: 64,
    flags: 0xf,
    index: 2,
    size: 1n << 20n,
    offset: 4096n,
    capabilities: new Uint8Array(32),
  });
  const reply = messages.deviceGetRegionInfo.reply.decode(message.subarray(HEADER_SIZE));
  expect(reply).toMatchObject({ argsz: 64, flags: 0xf, index: 2, capOffset: 32, size: 1n << 20n, offset: 4096n });
  expect(reply.bytes.length).toBe(64);
});

test("entries of another length, as libvfio-user's are", () => {
  const payload = new Uint8Array(16 + 48);
  const view = new DataView(payload.buffer);
  view.setUint32(0, payload.length, true);
  view.setUint32(12, 1, true);
  view.setBigUint64(16, 8n, true);
  view.setBigUint64(56, 99n, true);
  expect(messages.deviceGetRegionIoFds.reply.decode(payload).entries).toEqual([
    { offset: 8n, size: 0n, fdIndex: 0, type: 0, flags: 0, data: 99n },
  ]);
});

test("a count that fits into no memory is refused before anything is made for it", () => {
  const payload = new Uint8Array(8);
  for (const count of [1n, 1n << 32n, 0xffff_ffff_ffff_ffffn]) {
    new DataView(payload.buffer).setBigUint64(0, count, true);
    expect(() => messages.regionWriteMulti.request.decode(payload)).toThrow(ProtocolError);
  }
});

test("any bytes are a message or are refused", { timeout: 60_000 }, () => {
  const prng = new Prng(1);
  const decoders = formats().map(([, { format }]) => format);
  for (let i = 0; i < 100_000; i++) {
    const payload = Uint8Array.from({ length: prng.below(80) }, () => (prng.oneIn(3) ? prng.below(256) : 0));
    try {
      prng.pick(decoders).decode(payload);
    } catch (error) {
      if (!(error instanceof ProtocolError)) throw error;
    }
  }
});
