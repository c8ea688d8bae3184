/**
 * The first message of a connection: a version, and what each side can do.
 *
 * Most of it is not agreed upon but told: each side says how much it takes, and the other keeps to it. What is agreed is
 * the minor version (the server's answer is at most the client's), and the abilities: the server answers with those of the
 * client's that it has too.
 *
 * @module
 */
import { constants } from "node:os";
import { messageOf } from "../../base/errors.js";
import { ProtocolError } from "./constants.js";

const { EINVAL } = constants.errno;

/** What one side can do, or takes. What is left out has the value in {@link defaultCapabilities}. */
export interface Capabilities {
  /** The most descriptors that the sender takes with one message. */
  readonly max_msg_fds?: number;
  /** The most bytes that the sender takes or gives in one access to a region or to memory. */
  readonly max_data_xfer_size?: number;
  /** The most ranges of memory at a time. */
  readonly max_dma_maps?: number;
  /** The page sizes of memory, or'ed together: 64 bits. */
  readonly pgsizes?: number | bigint;
  /** Whether VFIO_USER_REGION_WRITE_MULTI is understood. */
  readonly write_multiple?: boolean;
  /** Whether the server's commands travel over a socket of their own; in a reply, which of the descriptors it is. */
  readonly twin_socket?: { readonly supported?: boolean; readonly fd_index?: number };
  /** Not in the specification; QEMU sends it, for libvfio-user's bitmap of dirty pages. */
  readonly migration?: { readonly pgsize?: number | bigint; readonly max_bitmap_size?: number | bigint };
}

/** What the payload of VFIO_USER_VERSION says. */
export interface Version {
  readonly major: number;
  readonly minor: number;
  /** Left out for a message without version data. */
  readonly capabilities?: Capabilities;
}

/** What a side that does not say otherwise can do, by the specification. */
export const defaultCapabilities = {
  max_msg_fds: 1,
  max_data_xfer_size: 1 << 20,
  max_dma_maps: 65535,
  pgsizes: 4096,
} as const satisfies Capabilities;

/** The longest version data that is read: QEMU's is some 200 bytes long. */
export const MAX_VERSION_SIZE = 4096;

// The most descriptors that Linux passes at once are 253 (SCM_MAX_FD); libvfio-user refuses to believe in more than these.
const MOST_FDS = 1024;
const MOST_UINT64 = (1n << 64n) - 1n;

// JSON's integers have any number of digits, and a JavaScript number keeps 53 bits of one. A longer one is a string that begins
// with NUL on its way through JSON.parse and JSON.stringify, and a bigint here.
const LONG_INTEGER = /^\d{16,}$/;
const TOKEN = /"(?:[^"\\]|\\.)*"|-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?/g;

function parse(text: string): unknown {
  const quoted = text.replace(TOKEN, (token) => (LONG_INTEGER.test(token) ? `"\\u0000${token}"` : token));
  return JSON.parse(quoted, (_, value: unknown) => {
    if (typeof value !== "string" || value[0] !== "\0" || !LONG_INTEGER.test(value.slice(1))) return value;
    const integer = BigInt(value.slice(1));
    return integer > BigInt(Number.MAX_SAFE_INTEGER) ? integer : Number(integer);
  });
}

function stringify(value: object): string {
  const quoted = JSON.stringify(value, (_, each: unknown) => (typeof each === "bigint" ? `\0${each}` : each));
  return quoted.replace(/"\\u0000(\d+)"/g, "$1");
}

export function encodeVersion({ major, minor, capabilities }: Version): Uint8Array {
  const json = capabilities === undefined ? "" : `${stringify({ capabilities })}\0`;
  const text = new TextEncoder().encode(json);
  const bytes = new Uint8Array(4 + text.length);
  const view = new DataView(bytes.buffer);
  view.setUint16(0, major, true);
  view.setUint16(2, minor, true);
  bytes.set(text, 4);
  return bytes;
}

/**
 * Unknown capabilities are left out, as a newer peer may have them; known ones of the wrong type or without sense are refused.
 *
 * @throws ProtocolError
 */
export function decodeVersion(name: string, payload: Uint8Array): Version {
  const refuse = (why: string) => new ProtocolError(EINVAL, name, why);
  if (payload.length < 4) throw refuse(`${payload.length} bytes of payload, and it needs 4`);
  if (payload.length > MAX_VERSION_SIZE) throw refuse(`${payload.length} bytes of payload are too much to be meant`);
  const view = new DataView(payload.buffer, payload.byteOffset, payload.length);
  const version = { major: view.getUint16(0, true), minor: view.getUint16(2, true) };
  if (payload.length === 4) return version;
  const text = payload.subarray(4);
  if (text.at(-1) !== 0) throw refuse("its JSON does not end with a NUL");
  let json: unknown;
  try {
    json = parse(new TextDecoder("utf-8", { fatal: true }).decode(text.subarray(0, -1)));
  } catch (error) {
    throw refuse(`its JSON cannot be read: ${messageOf(error)}`);
  }
  if (!isObject(json)) throw refuse("its JSON is no object");
  if (json.capabilities === undefined) return version;
  return { ...version, capabilities: readCapabilities(json.capabilities, refuse) };
}

function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function readCapabilities(value: unknown, refuse: (why: string) => ProtocolError): Capabilities {
  const object = (from: Readonly<Record<string, unknown>>, key: string) => {
    const found = from[key];
    if (found === undefined) return undefined;
    if (!isObject(found)) throw refuse(`${key} is no object`);
    return found;
  };
  const number = <Key extends string>(from: Readonly<Record<string, unknown>>, key: Key, low: number, high: number) => {
    const found = from[key];
    if (found === undefined) return {};
    if (typeof found !== "number" || !Number.isSafeInteger(found) || found < low || found > high) {
      throw refuse(`${key} is no integer from ${low} to ${high}`);
    }
    return numbered(key, found);
  };
  const wide = <Key extends string>(from: Readonly<Record<string, unknown>>, key: Key, low: number) => {
    const found = from[key];
    if (typeof found !== "bigint") return number(from, key, low, Number.MAX_SAFE_INTEGER);
    if (found > MOST_UINT64) throw refuse(`${key} has more than 64 bits`);
    return numbered(key, found);
  };
  const boolean = <Key extends string>(from: Readonly<Record<string, unknown>>, key: Key) => {
    const found = from[key];
    if (found === undefined) return {};
    if (typeof found !== "boolean") throw refuse(`${key} is no boolean`);
    return flagged(key, found);
  };
  if (!isObject(value)) throw refuse("capabilities is no object");
  const twin = object(value, "twin_socket");
  const migration = object(value, "migration");
  return {
    ...number(value, "max_msg_fds", 0, MOST_FDS),
    ...number(value, "max_data_xfer_size", 1, 0xffff_ffff),
    ...number(value, "max_dma_maps", 0, 0xffff_ffff),
    ...wide(value, "pgsizes", 1),
    ...boolean(value, "write_multiple"),
    ...(twin === undefined
      ? {}
      : { twin_socket: { ...boolean(twin, "supported"), ...number(twin, "fd_index", 0, MOST_FDS) } }),
    ...(migration === undefined
      ? {}
      : { migration: { ...wide(migration, "pgsize", 1), ...wide(migration, "max_bitmap_size", 0) } }),
  };
}

// A computed key widens to an index signature: these two keep its name.
function numbered<Key extends string, Value extends number | bigint>(key: Key, value: Value): { [K in Key]?: Value } {
  const entry: { [K in Key]?: Value } = {};
  entry[key] = value;
  return entry;
}

function flagged<Key extends string>(key: Key, value: boolean): { [K in Key]?: boolean } {
  const entry: { [K in Key]?: boolean } = {};
  entry[key] = value;
  return entry;
}
