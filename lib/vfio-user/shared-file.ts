/**
 * Memory of another process that came with a descriptor.
 *
 * @module
 */
import { fstatSync } from "node:fs";
import { constants } from "node:os";
import { VfioError } from "../errors.js";
import type { OwnedFd } from "../fd.js";
import { type MappingHandle, native, PAGE_SIZE } from "../native.js";
import { ProtocolError } from "./protocol.js";

const { EINVAL } = constants.errno;

const PROT_READ_WRITE = 3;
const MAP_SHARED = 0x01;
const MAP_PRIVATE = 0x02;
const MAP_NORESERVE = 0x4000;
const F_SEAL_SHRINK = 0x2;
// Node 20 has no ArrayBuffer above 4 GiB.
const WINDOW = 2 ** 30;

/** A part of a file of the client's, as memory. Offsets count from the part's beginning, and are checked by the caller. */
export interface SharedFile {
  /** Which file and which part of it: two that are equal are the same memory. */
  readonly identity: string;
  /** Copies from it. False where it cannot be reached so. */
  read(offset: number, into: Uint8Array): boolean;
  /** Copies into it. False where it cannot be reached so. */
  write(offset: number, bytes: Uint8Array): boolean;
  /** The memory itself, where it can be shown. */
  view(offset: number, length: number): Uint8Array | undefined;
  close(): void;
}

/** How much a server trusts its clients with a file that it maps. */
export interface SharedFileOptions {
  readonly writable: boolean;
  /** The file will not be cut, and no access to it waits for anybody. */
  readonly trusted: boolean;
}

/**
 * Opens a part of a file of the client's.
 *
 * Where a file ends before a mapping of it does, an access raises SIGBUS, which ends the process. So only what cannot shrink
 * is mapped: a memfd that is sealed against it, as QEMU's memory is. Other memory (tmpfs, hugetlbfs) is read and written as a
 * file, which fails without harm; and a file of another kind is not touched at all, because a file system in user space may
 * let an access wait for ever. `trusted` maps all of it.
 *
 * @param fd borrowed
 * @returns undefined where the memory is reached by messages only
 * @throws ProtocolError if the part is not within the file; VfioError where the kernel refuses to map it
 */
export function openSharedFile(
  fd: OwnedFd,
  offset: bigint,
  size: bigint,
  { writable, trusted }: SharedFileOptions,
): SharedFile | undefined {
  // Only files of tmpfs and hugetlbfs have seals, if only the one against sealing; asking never waits for anybody, as asking
  // a file system in user space for anything else might.
  const seals = native.getSeals(fd.number);
  if (seals < 0 && !trusted) return undefined;
  const file = fstatSync(fd.number, { bigint: true });
  if (file.isFile() && offset + size > file.size) {
    const why = `the file ends at 0x${file.size.toString(16)}, before the range`;
    throw new ProtocolError(EINVAL, "VFIO_USER_DMA_MAP", why);
  }
  const identity = `${file.dev}:${file.ino}:${offset}:${size}`;
  const lasting = seals >= 0 && (seals & F_SEAL_SHRINK) !== 0;
  if (trusted || lasting) return new MappedFile(fd, offset, size, writable, identity);
  return new CopiedFile(fd.duplicate(), offset, identity);
}

class MappedFile implements SharedFile {
  readonly identity: string;
  readonly #mapping: MappingHandle;
  /** Where the part begins in the mapping, which begins at a page. */
  readonly #start: number;
  readonly #length: number;
  readonly #windows = new Map<number, Uint8Array>();
  readonly #others = new Set<ArrayBuffer>();

  constructor(fd: OwnedFd, offset: bigint, size: bigint, writable: boolean, identity: string) {
    this.identity = identity;
    this.#start = Number(offset % BigInt(PAGE_SIZE));
    this.#length = this.#start + Number(size);
    // What may only be read is mapped privately: a stray write of the device's stays here, instead of ending the process.
    const flags = writable ? MAP_SHARED : MAP_PRIVATE | MAP_NORESERVE;
    const mapping = native.mmap(this.#length, PROT_READ_WRITE, flags, fd.number, offset - BigInt(this.#start), 0);
    if (typeof mapping === "number") {
      throw new VfioError({ errno: mapping, syscall: "mmap", args: { size, offset }, object: "the client's memory" });
    }
    this.#mapping = mapping;
  }

  read(offset: number, into: Uint8Array): boolean {
    into.set(this.view(offset, into.length));
    return true;
  }

  write(offset: number, bytes: Uint8Array): boolean {
    this.view(offset, bytes.length).set(bytes);
    return true;
  }

  view(offset: number, length: number): Uint8Array {
    const at = this.#start + offset;
    const index = Math.floor(at / WINDOW);
    const within = at - index * WINDOW;
    if (within + length <= WINDOW) return this.#window(index).subarray(within, within + length);
    const other = this.#buffer(at, length);
    this.#others.add(other);
    return new Uint8Array(other);
  }

  /** Windows are kept: each takes some 100 us to make. */
  #window(index: number): Uint8Array {
    let window = this.#windows.get(index);
    if (window === undefined) {
      window = new Uint8Array(this.#buffer(index * WINDOW, Math.min(WINDOW, this.#length - index * WINDOW)));
      this.#windows.set(index, window);
    }
    return window;
  }

  #buffer(offset: number, length: number): ArrayBuffer {
    const buffer = native.mappingArrayBuffer(this.#mapping, offset, length);
    if (typeof buffer !== "number") return buffer;
    throw new VfioError({ errno: buffer, syscall: "napi_create_external_arraybuffer", args: { offset, length } });
  }

  close(): void {
    let moved = false;
    const buffers = [...[...this.#windows.values()].map(({ buffer }) => buffer), ...this.#others];
    for (const buffer of buffers) {
      if (buffer instanceof ArrayBuffer) moved = native.detachArrayBuffer(buffer) < 0 || moved;
    }
    this.#windows.clear();
    this.#others.clear();
    // Somebody transferred a view's buffer: the memory is reachable where it cannot be detached, and must stay.
    if (!moved) native.munmap(this.#mapping);
  }
}

class CopiedFile implements SharedFile {
  readonly identity: string;
  readonly #fd: OwnedFd;
  readonly #offset: bigint;

  constructor(fd: OwnedFd, offset: bigint, identity: string) {
    this.#fd = fd;
    this.#offset = offset;
    this.identity = identity;
  }

  read(offset: number, into: Uint8Array): boolean {
    return into.length === 0 || native.pread(this.#fd.number, into, this.#offset + BigInt(offset)) === into.length;
  }

  write(offset: number, bytes: Uint8Array): boolean {
    return bytes.length === 0 || native.pwrite(this.#fd.number, bytes, this.#offset + BigInt(offset)) === bytes.length;
  }

  view(): undefined {
    return undefined;
  }

  close(): void {
    this.#fd.close();
  }
}
