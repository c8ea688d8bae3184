/**
 * The vfio-user protocol: its numbers, its header, and what a message that breaks its rules is.
 *
 * A message is a header of 16 bytes and a payload, over a stream socket; descriptors travel beside it (`SCM_RIGHTS`). The
 * byte order is the host's, which is little-endian wherever this package runs. The specification is QEMU's
 * docs/interop/vfio-user; versions 0.1 and 0.2 differ in what lies behind the capabilities.
 *
 * Both sides use this module: a server decodes requests and encodes replies, a client the other way round.
 *
 * @module
 */
import { constants } from "node:os";
import { VfioError } from "../../base/errors.js";

const { EINVAL } = constants.errno;

/** The version that this package speaks; a peer may speak a lower minor one. */
export const PROTOCOL_MAJOR = 0;
export const PROTOCOL_MINOR = 2;

/** The commands, by their numbers. 14 is an older protocol's, and is not used any more. */
export const CommandNumber = {
  version: 1,
  dmaMap: 2,
  dmaUnmap: 3,
  deviceGetInfo: 4,
  deviceGetRegionInfo: 5,
  deviceGetRegionIoFds: 6,
  deviceGetIrqInfo: 7,
  deviceSetIrqs: 8,
  regionRead: 9,
  regionWrite: 10,
  dmaRead: 11,
  dmaWrite: 12,
  deviceReset: 13,
  regionWriteMulti: 15,
  deviceFeature: 16,
  migDataRead: 17,
  migDataWrite: 18,
} as const;

const names = new Map<number, string>(Object.entries(CommandNumber).map(([name, number]) => [number, name]));

/** A command's name for messages: `VFIO_USER_DMA_MAP`, `command 99`. */
export function commandName(number: number): string {
  const name = names.get(number);
  if (name === undefined) return `command ${number}`;
  return `VFIO_USER_${name.replaceAll(/[A-Z]/g, (letter) => `_${letter}`).toUpperCase()}`;
}

/** The size of a header, in bytes. */
export const HEADER_SIZE = 16;

// The header's flags. Every one but the type's is a single bit.
export const HEADER_TYPE_MASK = 0xf;
export const HEADER_COMMAND = 0x0;
export const HEADER_REPLY = 0x1;
export const HEADER_NO_REPLY = 0x10;
export const HEADER_ERROR = 0x20;

// VFIO_USER_DMA_MAP. The last two say how the descriptor is to be used; a descriptor without either is to be mapped.
export const DMA_MAP_READ = 0x1;
export const DMA_MAP_WRITE = 0x2;
export const DMA_MAP_MMAP = 0x4;
export const DMA_MAP_FILE_IO = 0x8;

// VFIO_USER_DMA_UNMAP. The specification has no flags; these are libvfio-user's, and QEMU sends the second.
export const DMA_UNMAP_GET_DIRTY_BITMAP = 0x1;
export const DMA_UNMAP_ALL = 0x2;

// VFIO_USER_DEVICE_GET_REGION_IO_FDS
export const IO_FD_TYPE_IOEVENTFD = 0;
export const IO_FD_TYPE_IOREGIONFD = 1;

// VFIO_USER_DEVICE_FEATURE: the features of linux/vfio.h that the protocol carries.
export const FEATURE_MIGRATION = 1;
export const FEATURE_MIG_DEVICE_STATE = 2;
export const FEATURE_DMA_LOGGING_START = 6;
export const FEATURE_DMA_LOGGING_STOP = 7;
export const FEATURE_DMA_LOGGING_REPORT = 8;

// linux/vfio.h: what FEATURE_MIGRATION answers
export const MIGRATION_STOP_COPY = 0x1;
export const MIGRATION_PRE_COPY = 0x4;

/** linux/vfio.h: the states of a device that migrates. The two peer-to-peer states (5, 7) are not used in vfio-user. */
export const MigrationState = {
  error: 0,
  stop: 1,
  running: 2,
  stopCopy: 3,
  resuming: 4,
  preCopy: 6,
} as const;

export type MigrationStateName = keyof typeof MigrationState;

/** What stands before a message's payload. */
export interface Header {
  /** The sender's own name for the message; a reply repeats it. 16 bits, which a sender may use again at any time. */
  readonly id: number;
  /** See {@link CommandNumber}. */
  readonly command: number;
  /** Of the whole message, in bytes, with the header. */
  readonly size: number;
  /** See the `HEADER_*` bits. */
  readonly flags: number;
  /** An errno, positive; meaningful with `HEADER_ERROR`, and 0 even then if the peer names none. */
  readonly error: number;
}

/** Reads the header at the beginning of `bytes`, which are at least {@link HEADER_SIZE}. */
export function readHeader(bytes: Uint8Array): Header {
  return headerAt(new DataView(bytes.buffer, bytes.byteOffset, HEADER_SIZE), 0);
}

/** Reads the header at an offset of what was received, where there are {@link HEADER_SIZE} bytes. */
export function headerAt(view: DataView, at: number): Header {
  return {
    id: view.getUint16(at, true),
    command: view.getUint16(at + 2, true),
    size: view.getUint32(at + 4, true),
    flags: view.getUint32(at + 8, true),
    error: view.getUint32(at + 12, true),
  };
}

/** Writes a message's header into its first {@link HEADER_SIZE} bytes; the size is the message's own length. */
export function stampHeader(message: Uint8Array, id: number, command: number, flags: number, error = 0): Uint8Array {
  stampHeaderAt(
    new DataView(message.buffer, message.byteOffset, HEADER_SIZE),
    message.length,
    id,
    command,
    flags,
    error,
  );
  return message;
}

/** The same at the beginning of a view, for a message of `size` bytes. */
export function stampHeaderAt(
  view: DataView,
  size: number,
  id: number,
  command: number,
  flags: number,
  error = 0,
): void {
  view.setUint16(0, id, true);
  view.setUint16(2, command, true);
  view.setUint32(4, size, true);
  view.setUint32(8, flags, true);
  view.setUint32(12, error, true);
}

/** Whether the message answers one of ours. */
export function isReply(header: Header): boolean {
  return (header.flags & HEADER_TYPE_MASK) === HEADER_REPLY;
}

/** Whether the sender waits for an answer. */
export function wantsReply(header: Header): boolean {
  return (header.flags & HEADER_NO_REPLY) === 0;
}

/** The answer to a request that failed: a header alone. */
export function errorReply(id: number, command: number, errno: number): Uint8Array {
  return stampHeader(new Uint8Array(HEADER_SIZE), id, command, HEADER_REPLY | HEADER_ERROR, Math.abs(errno));
}

// The kernel's own limit of an errno (MAX_ERRNO).
const LARGEST_ERRNO = 4095;

/** The errno of an error reply. A peer that names none, or an impossible one, is taken to mean EINVAL. */
export function replyErrno(header: Header): number {
  return header.error >= 1 && header.error <= LARGEST_ERRNO ? header.error : EINVAL;
}

/**
 * A message that breaks the protocol's rules, or asks for what cannot be. A server answers it with its errno; a client that
 * meets one in a reply cannot trust the rest of it.
 */
export class ProtocolError extends VfioError {
  constructor(errno: number, message: string, why: string) {
    super({ errno, syscall: "vfio-user", request: message, why });
  }
}
