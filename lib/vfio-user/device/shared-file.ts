/**
 * Memory of another process that came with a descriptor.
 *
 * @module
 */
import { fstatSync } from "node:fs";
import { constants } from "node:os";
import { check, VfioError } from "../../base/errors.js";
import { OwnedFd } from "../../kernel/fd.js";
import { type MappingHandle, native, PAGE_SIZE } from "../../kernel/native.js";
import { ArrayBuffers } from "../../memory/array-buffers.js";
import { cannotFault, isHuge, pageSizeOf } from "../../memory/memory-file.js";
import { ProtocolError } from "../protocol/constants.js";

const { EINVAL } = constants.errno;

const PROT_READ_WRITE = 3;
const MAP_SHARED = 0x01;
const MAP_PRIVATE = 0x02;
const MAP_NORESERVE = 0x4000;
// Node 20 has no ArrayBuffer above 4 GiB.
const WINDOW = 2 ** 30;
const LARGEST_BUFFER = 2 ** 32;
// What HugeFile holds at a time.
const CHUNK = 64 * 1024;

/** A part of a file of the client's, as memory. Offsets count from the part's beginning, and are checked by the caller. */
export interface SharedFile {
  /** Which file and which part of it: two that are equal are the same memory. */
  readonly identity: string;
  /** Whether the memory is mapped. Else an access may fail, and the memory is reached by a message then. */
  readonly mapped: boolean;
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
  /** No client makes an access to the file fail, or wait for anybody. */
  readonly trusted: boolean;
}

/**
 * Opens a part of a file of the client's.
 *
 * An access to a mapped page that the kernel cannot provide raises SIGBUS, which ends the process. So only memory with which no
 * client can bring that about is mapped: see {@link cannotFault}. Other memory (tmpfs, hugetlbfs) is read and written by system
 * calls, which fail without harm. A file of another kind is not touched at all, because a file system in user space may let
 * an access wait for ever. `trusted` maps all of it.
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
  // Only files of tmpfs and hugetlbfs have seals, if only the one against sealing. The kernel answers this question itself. A
  // file system in user space might let any other question wait.
  if (native.getSeals(fd.number) < 0 && !trusted) return undefined;
  const file = fstatSync(fd.number, { bigint: true });
  if (file.isFile() && offset + size > file.size) {
    const why = `the file ends at 0x${file.size.toString(16)}, before the range`;
    throw new ProtocolError(EINVAL, "VFIO_USER_DMA_MAP", why);
  }
  const part: FilePart = { offset, size, identity: `${file.dev}:${file.ino}:${offset}:${size}` };
  // What may only be read is mapped privately: a stray write of the device's stays here, instead of ending the process.
  const flags = writable ? MAP_SHARED : MAP_PRIVATE | MAP_NORESERVE;
  if (cannotFault(fd.number)) return new MappedFile(fd, part, flags, PAGE_SIZE);
  if (trusted) return new MappedFile(fd, part, flags, pageSizeOf(fd.number));
  return isHuge(fd.number) ? new HugeFile(fd.duplicate(), part) : new CopiedFile(fd.duplicate(), part);
}

/** A part of a file, in bytes. */
interface FilePart {
  readonly offset: bigint;
  readonly size: bigint;
  /** {@link SharedFile.identity} */
  readonly identity: string;
}

class MappedFile implements SharedFile {
  readonly identity: string;
  readonly mapped = true;
  readonly #mapping: MappingHandle;
  /** Where the part begins in the mapping, which begins and ends with a page of the file. */
  readonly #start: number;
  readonly #length: number;
  readonly #windows = new Map<number, Uint8Array>();
  readonly #buffers = new ArrayBuffers();

  /**
   * @param fd borrowed
   * @param pageSize of the file, in bytes
   */
  constructor(fd: OwnedFd, { offset, size, identity }: FilePart, flags: number, pageSize: number) {
    this.identity = identity;
    this.#start = Number(offset % BigInt(pageSize));
    this.#length = Math.ceil((this.#start + Number(size)) / pageSize) * pageSize;
    const mapping = native.mmap(this.#length, PROT_READ_WRITE, flags, fd.number, offset - BigInt(this.#start), 0);
    if (typeof mapping === "number") {
      throw new VfioError({ errno: mapping, syscall: "mmap", args: { size, offset }, object: "the client's memory" });
    }
    this.#mapping = mapping;
  }

  read(offset: number, into: Uint8Array): boolean {
    let done = 0;
    for (const piece of this.pieces(offset, into.length)) {
      into.set(piece, done);
      done += piece.length;
    }
    return true;
  }

  write(offset: number, bytes: Uint8Array): boolean {
    let done = 0;
    for (const piece of this.pieces(offset, bytes.length)) {
      piece.set(bytes.subarray(done, done + piece.length));
      done += piece.length;
    }
    return true;
  }

  /** A part of the memory, window by window: nothing is made for the access that would be kept. */
  pieces(offset: number, length: number): readonly Uint8Array[] {
    const pieces: Uint8Array[] = [];
    const end = this.#start + offset + length;
    for (let at = this.#start + offset; at < end; ) {
      const within = at % WINDOW;
      const piece = this.#window((at - within) / WINDOW).subarray(within, Math.min(WINDOW, within + end - at));
      pieces.push(piece);
      at += piece.length;
    }
    return pieces;
  }

  view(offset: number, length: number): Uint8Array {
    const at = this.#start + offset;
    const index = Math.floor(at / WINDOW);
    const within = at - index * WINDOW;
    if (within + length <= WINDOW) return this.#window(index).subarray(within, within + length);
    return this.#across(at, length);
  }

  /**
   * A part that no window holds. Every buffer is kept, so there are few: each begins at a multiple of a power of two that no part
   * in it is longer than, and is twice as long.
   */
  #across(at: number, length: number): Uint8Array {
    const step = 2 ** Math.ceil(Math.log2(Math.max(length, WINDOW / 2)));
    const exact = 2 * step > LARGEST_BUFFER;
    const start = exact ? at : at - (at % step);
    const size = exact ? length : Math.min(2 * step, this.#length - start);
    return new Uint8Array(this.#buffer(start, size), at - start, length);
  }

  /** Windows are kept: each takes some 100 us to make. */
  #window(index: number): Uint8Array {
    let window = this.#windows.get(index);
    // One that was moved is empty.
    if (window === undefined || window.length === 0) {
      window = new Uint8Array(this.#buffer(index * WINDOW, Math.min(WINDOW, this.#length - index * WINDOW)));
      this.#windows.set(index, window);
    }
    return window;
  }

  #buffer(offset: number, length: number): ArrayBuffer {
    const buffer = this.#buffers.of(this.#mapping, offset, length);
    if (typeof buffer !== "number") return buffer;
    throw new VfioError({ errno: buffer, syscall: "napi_create_external_arraybuffer", args: { offset, length } });
  }

  close(): void {
    this.#windows.clear();
    // Somebody transferred a view's buffer: the memory is reachable where it cannot be detached, and must stay.
    if (this.#buffers.detach()) native.munmap(this.#mapping);
  }
}

/** A file that this process reads and writes. */
class CopiedFile implements SharedFile {
  readonly identity: string;
  readonly mapped = false;
  protected readonly fd: OwnedFd;
  readonly #offset: bigint;

  /** @param fd belongs to the object from here on */
  constructor(fd: OwnedFd, { offset, identity }: FilePart) {
    this.fd = fd;
    this.#offset = offset;
    this.identity = identity;
  }

  read(offset: number, into: Uint8Array): boolean {
    return into.length === 0 || native.pread(this.fd.number, into, this.#offset + BigInt(offset)) === into.length;
  }

  write(offset: number, bytes: Uint8Array): boolean {
    return bytes.length === 0 || native.pwrite(this.fd.number, bytes, this.#offset + BigInt(offset)) === bytes.length;
  }

  view(): undefined {
    return undefined;
  }

  close(): void {
    this.fd.close();
  }
}

/**
 * A file of huge pages. It can be read, and hugetlbfs has no `write`.
 *
 * So it is mapped nevertheless, and only the kernel touches the mapping: it reads a file of this process into it. Where it cannot
 * provide a page, that system call fails with EFAULT, and no signal is raised.
 */
class HugeFile extends CopiedFile {
  readonly #part: FilePart;
  #target: { readonly memory: MappedFile; readonly bytes: OwnedFd } | undefined;

  constructor(fd: OwnedFd, part: FilePart) {
    super(fd, part);
    this.#part = part;
  }

  override write(offset: number, bytes: Uint8Array): boolean {
    try {
      this.#target ??= this.#open();
    } catch (error) {
      // The client's descriptor is for reading only, or there is no address space left.
      if (error instanceof VfioError) return false;
      throw error;
    }
    const { memory, bytes: source } = this.#target;
    for (let at = 0; at < bytes.length; at += CHUNK) {
      const chunk = bytes.subarray(at, at + CHUNK);
      if (native.pwrite(source.number, chunk, 0) !== chunk.length) return false;
      let done = 0;
      for (const piece of memory.pieces(offset + at, chunk.length)) {
        if (native.pread(source.number, piece, done) !== piece.length) return false;
        done += piece.length;
      }
    }
    return true;
  }

  #open(): { readonly memory: MappedFile; readonly bytes: OwnedFd } {
    // Without a claim to the reserve of huge pages: the client has made that claim.
    const memory = new MappedFile(this.fd, this.#part, MAP_SHARED | MAP_NORESERVE, pageSizeOf(this.fd.number));
    try {
      const object = "the bytes on their way to the client's memory";
      const number = check(native.memfdCreate("vfio-bytes", 0), () => ({ syscall: "memfd_create", object }));
      return { memory, bytes: new OwnedFd(number, object) };
    } catch (error) {
      memory.close();
      throw error;
    }
  }

  override close(): void {
    this.#target?.memory.close();
    this.#target?.bytes.close();
    super.close();
  }
}
