import { describe, expect, test } from "vitest";
import { ProtocolError } from "../../../lib/vfio-user/protocol/constants.js";
import { decodeVersion, encodeVersion } from "../../../lib/vfio-user/protocol/version.js";

function payload(json: string | Uint8Array, end = "\0"): Uint8Array {
  const text = typeof json === "string" ? Buffer.from(json + end) : json;
  return Uint8Array.of(0, 0, 2, 0, ...text);
}

const decode = (json: string, end?: string) => decodeVersion("VERSION", payload(json, end));

test("there and back", () => {
  const version = {
    major: 0,
    minor: 2,
    capabilities: {
      max_msg_fds: 16,
      max_data_xfer_size: 1 << 20,
      max_dma_maps: 65535,
      pgsizes: 4096,
      write_multiple: true,
      twin_socket: { supported: true, fd_index: 0 },
      migration: { pgsize: 4096, max_bitmap_size: 1 << 28 },
    },
  };
  expect(decodeVersion("VERSION", encodeVersion(version))).toEqual(version);
});

test("an integer of 64 bits stays exact", () => {
  for (const pgsizes of [(1n << 64n) - 1n, (1n << 63n) - 1n, (1n << 53n) + 1n]) {
    const version = { major: 0, minor: 2, capabilities: { pgsizes, migration: { pgsize: 1n << 63n } } };
    expect(decodeVersion("VERSION", encodeVersion(version))).toEqual(version);
    expect(decode(`{"capabilities":{"pgsizes" : ${pgsizes} }}`).capabilities).toEqual({ pgsizes });
  }
  expect(decode('{"capabilities":{"pgsizes":9007199254740991}}').capabilities?.pgsizes).toBe(Number.MAX_SAFE_INTEGER);
  // In a text it is text.
  expect(decode('{"x":"\\"18446744073709551615","capabilities":{"max_msg_fds":3}}').capabilities).toEqual({
    max_msg_fds: 3,
  });
});

test("the version data is optional, and so are the capabilities", () => {
  expect(decodeVersion("VERSION", Uint8Array.of(0, 0, 1, 0))).toEqual({ major: 0, minor: 1 });
  expect(decode("{}")).toEqual({ major: 0, minor: 2 });
  expect(decode('{"capabilities": {}}')).toEqual({ major: 0, minor: 2, capabilities: {} });
});

test("unknown capabilities are left out", () => {
  expect(decode('{"capabilities":{"x":[1],"max_msg_fds":3},"other":1}').capabilities).toEqual({ max_msg_fds: 3 });
});

describe("refused is", () => {
  test.each([
    ["too short a payload", Uint8Array.of(0, 0, 2)],
    ["JSON without its NUL", payload("{}", "")],
    ["nothing where JSON is due", payload("")],
    ["JSON that is cut", payload('{"capabilities":')],
    ["JSON that is no object", payload("[]")],
    ["JSON that is null", payload("null")],
    ["text that is no UTF-8", payload(Uint8Array.of(0x7b, 0xff, 0x7d, 0))],
    ["capabilities that are no object", payload('{"capabilities":1}')],
    ["a number that is a string", payload('{"capabilities":{"max_msg_fds":"1"}}')],
    ["a negative number", payload('{"capabilities":{"max_msg_fds":-1}}')],
    ["more descriptors than there can be", payload('{"capabilities":{"max_msg_fds":1025}}')],
    ["a fraction", payload('{"capabilities":{"max_data_xfer_size":1.5}}')],
    ["more page sizes than 64 bits", payload('{"capabilities":{"pgsizes":18446744073709551616}}')],
    ["page sizes that are no integer", payload('{"capabilities":{"pgsizes":1.8446744073709552e19}}')],
    ["page sizes below 0", payload('{"capabilities":{"pgsizes":-18446744073709551615}}')],
    ["a number of 64 bits where none is due", payload('{"capabilities":{"max_dma_maps":18446744073709551615}}')],
    ["no data at all", payload('{"capabilities":{"max_data_xfer_size":0}}')],
    ["a boolean that is a number", payload('{"capabilities":{"write_multiple":1}}')],
    ["a twin socket that is a boolean", payload('{"capabilities":{"twin_socket":true}}')],
    ["a migration that is a list", payload('{"capabilities":{"migration":[]}}')],
    ["a text without end", payload(`{"capabilities":{}}${" ".repeat(5000)}`)],
  ])("%s", (_, bytes) => {
    expect(() => decodeVersion("VERSION", bytes)).toThrow(ProtocolError);
  });
});

test("a capability cannot be smuggled into a prototype", () => {
  expect(decode('{"capabilities":{"__proto__":{"max_msg_fds":99}}}').capabilities?.max_msg_fds).toBeUndefined();
});
