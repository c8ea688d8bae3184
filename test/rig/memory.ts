import { VfioError } from "../../lib/base/errors.js";
import { native } from "../../lib/kernel/native.js";

export const PAGE = native.pageSize();
export const MiB = 1 << 20;
/**
 * An address of this process that nothing is mapped at: below where any program is loaded (4 MiB, on x86-64), behind which
 * its heap begins to grow.
 */
export const NOWHERE = MiB;

const PROT_READ = 1;
const PROT_READ_WRITE = 3;
const MAP_SHARED = 0x01;
const MAP_PRIVATE = 0x02;
const MAP_ANONYMOUS = 0x20;

/** Memory mapped exactly as a test asks, where a DmaBuffer would be too well-behaved. */
export class Memory implements Disposable {
  readonly address: number;
  readonly length: number;
  readonly #unmap: () => void;
  readonly #arrayBuffer: () => ArrayBuffer;

  private constructor(
    length: number,
    prot: number,
    flags: number,
    fd: number,
    offset: number | bigint,
    alignment: number,
  ) {
    const mapping = native.mmap(length, prot, flags, fd, offset, alignment);
    if (typeof mapping === "number") throw new VfioError({ errno: mapping, syscall: "mmap", args: { length, fd } });
    this.address = native.mappingAddress(mapping);
    this.length = length;
    let made: ArrayBuffer | undefined;
    this.#arrayBuffer = () => {
      if (made !== undefined) return made;
      const buffer = native.mappingArrayBuffer(mapping, 0, length);
      if (typeof buffer === "number") throw new VfioError({ errno: buffer, syscall: "mmap", args: { length } });
      made = buffer;
      return buffer;
    };
    this.#unmap = () => {
      if (made !== undefined) native.detachArrayBuffer(made);
      native.munmap(mapping);
    };
  }

  /** Memory of nobody's, aligned to a huge page so that no alignment is left to luck, on ordinary pages (so it is shared). */
  static anonymous(length: number): Memory {
    return new Memory(length, PROT_READ_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0, 2 * MiB);
  }

  /** A file, or a region of a device. The descriptor is borrowed. */
  static shared(fd: number, length: number, offset: number | bigint = 0): Memory {
    return new Memory(length, PROT_READ_WRITE, MAP_SHARED, fd, offset, 0);
  }

  /** A file's pages, until they are written: then the process has its own. */
  static private(fd: number, length: number): Memory {
    return new Memory(length, PROT_READ_WRITE, MAP_PRIVATE, fd, 0, 0);
  }

  /** A file that this process may not write. */
  static readOnly(fd: number, length: number): Memory {
    return new Memory(length, PROT_READ, MAP_SHARED, fd, 0, 0);
  }

  get bytes(): Uint8Array {
    return new Uint8Array(this.#arrayBuffer());
  }

  [Symbol.dispose](): void {
    this.#unmap();
  }
}
