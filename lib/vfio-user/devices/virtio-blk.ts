/**
 * A virtio disk (virtio 1.2, section 5.2): Linux drives it with virtio_blk.
 *
 * @module
 */

import type { FileHandle } from "node:fs/promises";
import {
  checkBoolean,
  checkBytes,
  checkFunction,
  checkInteger,
  checkObject,
  checkOptions,
  checkString,
  knownOptions,
} from "../../base/arguments.js";
import { outOfRangeError } from "../../base/errors.js";
import type { PciDevice } from "../device/pci-device.js";
import { VIRTIO_F_INDIRECT_DESC, virtioPciDevice } from "./virtio-pci.js";
import { DriverError, type QueueBuffer, type QueueRequest } from "./virtio-queue.js";

/**
 * What a disk is made of. Offsets and lengths are multiples of 512, within the disk. What a method throws is an I/O error for
 * the driver.
 */
export interface Disk {
  /** In bytes. */
  readonly size: number;
  /** Fills `into` with what is at `offset`. */
  read(offset: number, into: Uint8Array): void | Promise<void>;
  /** Writes bytes at `offset`. */
  write(offset: number, bytes: Uint8Array): void | Promise<void>;
  /** What was written stays written, whatever happens to the machine. Left out, the disk has no cache of its own. */
  flush?(): void | Promise<void>;
}

/** What a disk can be told. */
export interface BlockDeviceOptions {
  readonly readOnly?: boolean;
  /** Up to 20 characters: `/sys/block/vda/serial`. */
  readonly serial?: string;
}

/** A disk in this process's memory. */
export function memoryDisk(bytes: Uint8Array): Disk {
  checkBytes("bytes", bytes);
  return {
    size: bytes.length,
    read: (offset, into) => into.set(bytes.subarray(offset, offset + into.length)),
    write: (offset, data) => bytes.set(data, offset),
  };
}

/**
 * A disk in a file.
 *
 * @param file stays the caller's, who closes it when the device is closed
 */
export async function fileDisk(file: FileHandle): Promise<Disk> {
  checkObject("file", file);
  checkFunction("file.read", file.read);
  const { size } = await file.stat();
  return {
    size: size - (size % SECTOR),
    async read(offset, into) {
      for (let done = 0; done < into.length; ) {
        const { bytesRead } = await file.read(into, done, into.length - done, offset + done);
        // The file has become shorter.
        if (bytesRead === 0) throw outOfRangeError("offset", "within the disk", offset + done);
        done += bytesRead;
      }
    },
    async write(offset, bytes) {
      for (let done = 0; done < bytes.length; ) {
        done += (await file.write(bytes, done, bytes.length - done, offset + done)).bytesWritten;
      }
    },
    flush: () => file.datasync(),
  };
}

const SECTOR = 512;
const TYPE_BLOCK = 2;
const CLASS_SCSI = 0x010000;
const F_SEG_MAX = 1n << 2n;
const F_RO = 1n << 5n;
const F_BLK_SIZE = 1n << 6n;
const F_FLUSH = 1n << 9n;
const QUEUE_SIZE = 256;
// All but the header and the status.
const SEGMENTS = QUEUE_SIZE - 2;

// The types of a request, and how it ended.
const IN = 0;
const OUT = 1;
const FLUSH = 4;
const GET_ID = 8;
const OK = 0;
const IO_ERROR = 1;
const UNSUPPORTED = 2;
const HEADER_SIZE = 16;
const ID_LENGTH = 20;
// A driver's request takes as much memory here where it does not share its own. Linux asks for 1280 KiB at most.
const LONGEST = 16 << 20;

/** The disk failed, and not the driver's memory. */
class DiskFailure extends Error {}

async function ask(disk: () => void | Promise<void>): Promise<void> {
  try {
    await disk();
  } catch (cause) {
    throw new DiskFailure("the disk failed", { cause });
  }
}

const blockOptions = knownOptions<BlockDeviceOptions>({ readOnly: checkBoolean, serial: checkString });

function checkDisk(disk: Disk): void {
  checkObject("disk", disk);
  checkInteger("disk.size", disk.size);
  checkFunction("disk.read", disk.read);
  checkFunction("disk.write", disk.write);
}

/** Makes a disk: 1af4:1042, with one queue, MSI-X and INTx. */
export function virtioBlockDevice(disk: Disk, options: BlockDeviceOptions = {}): PciDevice {
  checkDisk(disk);
  checkOptions("options", options, blockOptions);
  const { readOnly = false, serial = "" } = options;
  const config = new Uint8Array(0x40);
  const view = new DataView(config.buffer);
  view.setBigUint64(0, BigInt(Math.floor(disk.size / SECTOR)), true);
  view.setUint32(12, SEGMENTS, true);
  view.setUint32(20, SECTOR, true);

  /** Reads from the disk into the driver's memory. How it went, and how many bytes were written there. */
  async function read(at: number, into: readonly QueueBuffer[]): Promise<readonly [number, number]> {
    let written = 0;
    for (const { iova, length } of into) {
      const shared = device.dma.view(iova, length);
      const bytes = shared ?? new Uint8Array(length);
      await ask(() => disk.read(at + written, bytes));
      if (shared === undefined) await device.dma.write(iova, bytes);
      else device.dma.markDirty(iova, length);
      written += length;
    }
    return [OK, written];
  }

  async function write(at: number, from: readonly QueueBuffer[]): Promise<readonly [number, number]> {
    let done = 0;
    for (const { iova, length } of from) {
      const bytes = device.dma.view(iova, length) ?? (await device.dma.read(iova, length));
      await ask(() => disk.write(at + done, bytes));
      done += length;
    }
    return [OK, 0];
  }

  async function perform(type: number, sector: bigint, data: QueueRequest): Promise<readonly [number, number]> {
    const buffers = type === OUT ? data.readable : data.writable;
    const length = totalOf(buffers);
    if (type === IN || type === OUT) {
      const at = sector * BigInt(SECTOR);
      if (length % SECTOR !== 0 || at + BigInt(length) > BigInt(disk.size)) return [IO_ERROR, 0];
      if (type === OUT) return readOnly ? [IO_ERROR, 0] : write(Number(at), buffers);
      return read(Number(at), buffers);
    }
    if (type === FLUSH) {
      await ask(() => disk.flush?.());
      return [OK, 0];
    }
    if (type !== GET_ID) return [UNSUPPORTED, 0];
    const id = new Uint8Array(ID_LENGTH);
    new TextEncoder().encodeInto(serial, id);
    const [into] = buffers;
    if (into === undefined || into.length < ID_LENGTH) return [IO_ERROR, 0];
    await device.dma.write(into.iova, id);
    return [OK, ID_LENGTH];
  }

  const device = virtioPciDevice({
    name: "virtio-blk",
    type: TYPE_BLOCK,
    classCode: CLASS_SCSI,
    features: F_SEG_MAX | F_BLK_SIZE | F_FLUSH | VIRTIO_F_INDIRECT_DESC | (readOnly ? F_RO : 0n),
    config,
    queues: 1,
    queueSize: QUEUE_SIZE,
    async request(_queue, request) {
      // Header and status are where they are, however the driver cut its memory into descriptors.
      const [header, readable] = cut(request.readable, HEADER_SIZE);
      const total = totalOf(request.writable);
      const [writable, end] = cut(request.writable, total - 1);
      const [status] = end;
      if (totalOf(header) < HEADER_SIZE || status === undefined) throw new DriverError("no header, or no status");
      if (total > LONGEST || totalOf(readable) > LONGEST) throw new DriverError(`a request of ${total} bytes`);
      const parts: Uint8Array[] = [];
      for (const { iova, length } of header) parts.push(await device.dma.read(iova, length));
      const bytes = Buffer.concat(parts);
      let [result, written] = [IO_ERROR, 0];
      try {
        const sector = bytes.readBigUInt64LE(8);
        [result, written] = await perform(bytes.readUInt32LE(0), sector, { ...request, readable, writable });
      } catch (error) {
        if (!(error instanceof DiskFailure)) throw error;
      }
      await device.dma.write(status.iova, Uint8Array.of(result));
      return written + 1;
    },
  });
  return device;
}

function totalOf(buffers: readonly QueueBuffer[]): number {
  return buffers.reduce((sum, { length }) => sum + length, 0);
}

/** The first `length` bytes, and the rest. */
function cut(buffers: readonly QueueBuffer[], length: number): [QueueBuffer[], QueueBuffer[]] {
  const first: QueueBuffer[] = [];
  const rest: QueueBuffer[] = [];
  let left = Math.max(0, length);
  for (const buffer of buffers) {
    const here = Math.min(left, buffer.length);
    if (here > 0) first.push({ iova: buffer.iova, length: here });
    if (here < buffer.length) rest.push({ iova: buffer.iova + BigInt(here), length: buffer.length - here });
    left -= here;
  }
  return [first, rest];
}
