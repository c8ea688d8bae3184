/**
 * Memory for a device: ours, page-aligned, outside of the garbage collector's reach, with an `ArrayBuffer` over it.
 *
 * @module
 */

import { fstatSync } from "node:fs";
import { constants } from "node:os";
import {
  checkBoolean,
  checkInteger,
  checkOptions,
  checkPart,
  checkString,
  instanceOf,
  integer,
  knownOptions,
  oneOf,
} from "../base/arguments.js";
import { argTypeError, check, invalidStateError, outOfRangeError, VfioError } from "../base/errors.js";
import { openOrClosed, showAs } from "../base/inspect.js";
import { watchForLeak } from "../base/leak.js";
import { type AddDescriptor, type Blocker, closedBlocker, type UpdateScope } from "../base/preserve.js";
import { OwnedFd } from "../kernel/fd.js";
import { type MappingHandle, native, PAGE_SIZE } from "../kernel/native.js";
import { ArrayBuffers } from "./array-buffers.js";
import { cannotFault, F_SEAL_GROW, F_SEAL_SEAL, F_SEAL_SHRINK, MFD_ALLOW_SEALING, pageSizeOf } from "./memory-file.js";

/** Marks the memory that this package makes: no other object has pages that stay where they are. */
export const dmaMemory: unique symbol = Symbol("vfio.DmaMemory");

/**
 * Memory that a container can map for a device: a {@link DmaBuffer}, or a BAR's mapped part. It is made by this package only:
 * a `Buffer` or an object of the same shape is refused, by the types and when it is mapped.
 *
 * A mapping holds on to its memory: what is mapped cannot be closed.
 */
export interface DmaMemory {
  /** The mark. */
  readonly [dmaMemory]: true;
  /** Whether it is RAM, or a device's own memory behind a BAR. */
  readonly kind: "ram" | "bar";
  /** For messages. */
  readonly label: string;
  /** The address in this process. */
  readonly address: number;
  /** In bytes. */
  readonly length: number;
  /** The size of its pages: IOVAs aligned to it let the IOMMU use large entries. */
  readonly pageSize: number;
  /**
   * The file behind it and where in the file it begins, or `undefined` for memory without a file. The descriptor is
   * borrowed. Where there is one, iommufd maps by file, which a live update needs.
   *
   * @throws VfioError where there should be one and the kernel refuses it
   */
  backing(): { readonly fd: number; readonly offset: number } | undefined;
  /** What keeps it from going along in a live update. @internal */
  blockers(scope: UpdateScope): readonly Blocker[];
  /** What a successor must know of it. @internal */
  preserve(add: AddDescriptor): PreservedMemory;
  /** Closes what is this process's of it, when the successor has it. @internal */
  disown(): void;
  /** Counts a mapping in. @internal */
  hold(holder: object): void;
  /** Counts a mapping out. @internal */
  release(holder: object): void;
}

/** Memory in the manifest of a live update. */
export type PreservedMemory =
  | {
      readonly kind: "file";
      /** For messages. */
      readonly label: string;
      readonly descriptor: number;
      readonly length: number;
      readonly pageSize: number;
      readonly locked: boolean;
    }
  /** A part of a device's region. `device` is its attachment, by which its name is found. */
  | {
      readonly kind: "bar";
      readonly device: object;
      readonly region: number;
      readonly offset: number;
      readonly length: number;
    };

/**
 * Refuses everything that is not the memory of this package.
 *
 * @throws TypeError
 */
export function checkMemory(name: string, value: unknown): asserts value is DmaMemory {
  if (typeof value === "object" && value !== null && dmaMemory in value) return;
  const plain = value instanceof ArrayBuffer || ArrayBuffer.isView(value);
  const instead = plain
    ? ": JavaScript's own memory cannot be given to a device. Use DmaBuffer.allocate(length), and its `bytes`"
    : "";
  throw argTypeError(name, `a DmaBuffer or a RegionMap${instead}`, value);
}

/** How a {@link DmaBuffer} is made. */
export interface DmaBufferOptions {
  /**
   * `memfd` (the default) is shared memory with a descriptor, which a live update can hand to another process;
   * `anonymous` is private memory, for comparison and for what must not have a descriptor.
   */
  readonly backing?: "memfd" | "anonymous";
  /**
   * The size of its pages. `2M` and `1G` come from the kernel's reserve (`/proc/sys/vm/nr_hugepages`); the length must
   * then be a multiple of it. `transparent` asks for huge pages where the kernel has some to give.
   */
  readonly pages?: "normal" | "2M" | "1G" | "transparent";
  /** Whether its pages are kept in memory (`mlock`) even while no device has it mapped. Counts against the limit. */
  readonly locked?: boolean;
  /** The memfd's name, as `/proc/self/maps` shows it. */
  readonly name?: string;
}

/** How memory that somebody else has made is used: see {@link DmaBuffer.fromFd}. */
export interface ForeignMemoryOptions {
  /** In bytes, from the start of the file. Default: all of it. */
  readonly length?: number;
  /** Whether its pages are kept in memory (`mlock`). Default false. */
  readonly locked?: boolean;
  /** For messages. */
  readonly label?: string;
  /**
   * Whether the file is mapped although a process that has it could cut or empty it, which would end this process with SIGBUS.
   * Default false.
   */
  readonly trustHolders?: boolean;
}

const { EINVAL, EPERM } = constants.errno;

const bufferOptions = knownOptions<DmaBufferOptions>({
  backing: oneOf(["memfd", "anonymous"]),
  pages: oneOf(["normal", "2M", "1G", "transparent"]),
  locked: checkBoolean,
  name: checkString,
});

const checkFd = instanceOf(OwnedFd, "an OwnedFd");
const fileOptions = knownOptions<ForeignMemoryOptions>({
  length: integer(),
  locked: checkBoolean,
  label: checkString,
  trustHolders: checkBoolean,
});

const MiB = 1 << 20;
const PROT_READ_WRITE = 3;
const MAP_SHARED = 0x01;
const MAP_PRIVATE = 0x02;
const MAP_ANONYMOUS = 0x20;
const MAP_HUGETLB = 0x40000;
const MAP_HUGE_SHIFT = 26;
const MFD_HUGETLB = 4;
const MADV_DONTFORK = 10;
const MADV_HUGEPAGE = 14;

const hugeLog2 = { "2M": 21, "1G": 30 } as const;

/** What {@link DmaBuffer} needs to map memory; the result must be unmapped by the caller when it fails later. */
function mapMemory(
  length: number,
  pages: NonNullable<DmaBufferOptions["pages"]>,
  fd: OwnedFd | undefined,
): MappingHandle {
  const huge = pages === "2M" || pages === "1G" ? hugeLog2[pages] : undefined;
  const hugeFlags = huge !== undefined && fd === undefined ? MAP_HUGETLB | (huge << MAP_HUGE_SHIFT) : 0;
  const flags = fd === undefined ? MAP_PRIVATE | MAP_ANONYMOUS | hugeFlags : MAP_SHARED;
  // A transparent huge page needs an address aligned to it.
  const alignment = huge !== undefined ? 2 ** huge : pages === "transparent" ? 2 * MiB : 0;
  const mapping = native.mmap(length, PROT_READ_WRITE, flags >>> 0, fd?.number ?? -1, 0, alignment);
  if (typeof mapping !== "number") return mapping;
  throw new VfioError({
    errno: mapping,
    syscall: "mmap",
    args: { length, pages },
    ...(huge !== undefined && mapping === -12 ? noHugePages(huge, length) : {}),
  });
}

function noHugePages(log2: number, length: number): { why: string; fix: string } {
  const kB = 2 ** log2 / 1024;
  return {
    why: `the kernel has not ${length / 2 ** log2} free huge pages of ${kB} kB in reserve`,
    fix: `echo a larger number > /sys/kernel/mm/hugepages/hugepages-${kB}kB/nr_hugepages`,
  };
}

/** What a buffer is made of. */
interface Parts {
  readonly length: number;
  readonly pages: NonNullable<DmaBufferOptions["pages"]>;
  readonly pageSize: number;
  readonly label: string;
  readonly locked: boolean;
  /** The buffer's, once it is made. */
  readonly fd: OwnedFd | undefined;
}

/**
 * A buffer that a device may read and write.
 *
 * It is ordinary memory, so views of {@link arrayBuffer} are the way to use it; a word that the device changes while the
 * program looks at it is read with `Atomics.load`. Its pages are not moved and not freed while it is open, whatever the
 * garbage collector does; forgetting it leaks it, with a warning.
 *
 * `close` refuses while a mapping exists, and afterwards every view of it is empty (its `ArrayBuffer` is detached).
 */
export class DmaBuffer implements DmaMemory, Disposable {
  readonly [dmaMemory] = true;
  readonly kind = "ram";
  readonly label: string;
  readonly length: number;
  readonly pageSize: number;
  readonly address: number;
  /** Whether its pages are kept in memory. */
  readonly locked: boolean;
  #mapping: MappingHandle | undefined;
  readonly #fd: OwnedFd | undefined;
  /** What {@link backing} says: the same each time, and asked for by each map. */
  readonly #backing: { readonly fd: number; readonly offset: number } | undefined;
  #arrayBuffer: ArrayBuffer | undefined;
  readonly #windows = new ArrayBuffers();
  readonly #holders = new Set<object>();
  readonly #forget: () => void;

  /**
   * @param length in bytes; rounded up to whole pages
   * @throws VfioError ENOMEM (no memory, or no huge pages in reserve), EAGAIN (locked-memory limit)
   */
  static allocate(length: number, options: DmaBufferOptions = {}): DmaBuffer {
    checkInteger("length", length, 1);
    checkOptions("options", options, bufferOptions);
    const { pages = "normal", backing = "memfd", locked = false } = options;
    const pageSize = pages === "2M" || pages === "1G" ? 2 ** hugeLog2[pages] : PAGE_SIZE;
    if (pages !== "normal" && pages !== "transparent" && length % pageSize !== 0) {
      throw outOfRangeError("length", `a multiple of ${pageSize} with pages of ${pages}`, length);
    }
    const whole = Math.ceil(length / pageSize) * pageSize;
    const label = `${options.name ?? "dma"} (${whole} bytes)`;
    const fd = backing === "memfd" ? makeMemfd(options.name ?? "vfio-dma", whole, pages) : undefined;
    try {
      return new DmaBuffer({ length: whole, pages, pageSize, label, locked, fd });
    } catch (error) {
      fd?.close();
      throw error;
    }
  }

  /**
   * Memory that another process, or another library, has made: a memfd, or a file of tmpfs or hugetlbfs. It is mapped
   * shared: every process that has the file sees what is written.
   *
   * Such a process may also be able to end this one. It can cut the file, or take huge pages out of it, and the next access here
   * raises SIGBUS. So only a memfd without huge pages that is sealed against cutting (`F_SEAL_SHRINK`) is mapped, unless
   * `trustHolders` says that no process that has the file does that. A sealed memfd is not enough where
   * `vm.overcommit_memory` is 2.
   *
   * @param fd belongs to the buffer from here on; if this throws, it is still the caller's
   * @throws VfioError `EINVAL` if it is no such file, or shorter; `EPERM` if the file could be cut or emptied, and `trustHolders`
   *   is not set
   */
  static fromFd(fd: OwnedFd, options: ForeignMemoryOptions = {}): DmaBuffer {
    checkFd("fd", fd);
    checkOptions("options", options, fileOptions);
    const file = fstatSync(fd.number);
    const {
      length = file.size,
      locked = false,
      label = `${fd.label} (${length} bytes)`,
      trustHolders = false,
    } = options;
    const refusal = (errno: number, why: string, fix?: string) =>
      new VfioError({
        errno,
        syscall: "mmap",
        args: { fd: fd.number, length },
        object: fd.label,
        why,
        ...(fix === undefined ? {} : { fix }),
      });
    if (!file.isFile()) throw refusal(EINVAL, "it is no file that memory can be shared by");
    if (!trustHolders && !cannotFault(fd.number)) {
      throw refusal(
        EPERM,
        "a process that has the file could cut or empty it, and this process would end with SIGBUS at its next access",
        "seal the memfd (F_SEAL_SHRINK; with huge pages no seal helps), or pass { trustHolders: true } if you trust every process that has the file",
      );
    }
    const pageSize = pageSizeOf(fd.number);
    if (length <= 0 || length > file.size || length % pageSize !== 0) {
      throw refusal(
        EINVAL,
        `the file has ${file.size} bytes in pages of ${pageSize}, and whole pages of it can be used`,
      );
    }
    const pages = pageSize === 2 ** hugeLog2["2M"] ? "2M" : pageSize === 2 ** hugeLog2["1G"] ? "1G" : "normal";
    return new DmaBuffer({ length, pages, pageSize, label, locked, fd });
  }

  private constructor({ length, pages, pageSize, label, locked, fd }: Parts) {
    this.length = length;
    this.pageSize = pageSize;
    this.label = label;
    this.locked = locked;
    const mapping = mapMemory(length, pages, fd);
    try {
      if (pages === "transparent") {
        check(native.madvise(mapping, 0, length, MADV_HUGEPAGE), () => ({
          syscall: "madvise",
          args: { length },
          why: "the kernel was built without transparent huge pages",
        }));
      }
      // A child process has no use for private memory that a device writes, and pinned pages would be copied at fork.
      if (fd === undefined) native.madvise(mapping, 0, length, MADV_DONTFORK);
      if (locked) {
        check(native.mlock(mapping, 0, length), () => ({
          syscall: "mlock",
          args: { length },
          reason: "locked-memory-limit",
          why: "the locked-memory limit of this process is too low for it",
          fix: "raise it (ulimit -l, LimitMEMLOCK= in systemd), or run with the host's CAP_IPC_LOCK",
        }));
      }
    } catch (error) {
      native.munmap(mapping);
      throw error;
    }
    this.#mapping = mapping;
    this.#fd = fd;
    this.#backing = fd === undefined ? undefined : { fd: fd.number, offset: 0 };
    this.address = native.mappingAddress(mapping);
    fd?.leaveWarningToOwner();
    this.#forget = watchForLeak(this, `a DMA buffer of ${length} bytes`, "close()");
  }

  #open(): MappingHandle {
    if (this.#mapping === undefined) throw invalidStateError(`${this.label} is closed`);
    return this.#mapping;
  }

  /** Whether it has been closed. */
  get closed(): boolean {
    return this.#mapping === undefined;
  }

  /** The whole buffer. Node 20 cannot have one above 4 GiB: use {@link window} there. */
  get arrayBuffer(): ArrayBuffer {
    this.#arrayBuffer ??= this.window(0, this.length);
    return this.#arrayBuffer;
  }

  /** The whole buffer as bytes. */
  get bytes(): Uint8Array {
    return new Uint8Array(this.arrayBuffer);
  }

  /**
   * An `ArrayBuffer` over a part. Each takes some 100 us to make, and is kept until {@link close}: the same part again is the same
   * `ArrayBuffer`. Use `subarray` of a view for small parts.
   *
   * Do not `transfer()` it: the memory would then be reachable where {@link close} cannot detach it, so `close` would have
   * to leak it.
   */
  window(offset: number, length: number): ArrayBuffer {
    checkPart(this.label, this.length, offset, length);
    const buffer = this.#windows.of(this.#open(), offset, length);
    if (typeof buffer !== "number") return buffer;
    throw new VfioError({
      errno: buffer,
      syscall: "napi_create_external_arraybuffer",
      args: { offset, length },
      object: this.label,
      ...(buffer === -7
        ? { why: "this engine has no ArrayBuffer of that length (Node 20: 4 GiB)", fix: "use window() for parts of it" }
        : { why: "this runtime forbids external ArrayBuffers", fix: "use Node.js itself" }),
    });
  }

  backing(): { readonly fd: number; readonly offset: number } | undefined {
    this.#open();
    return this.#backing;
  }

  /** @internal */
  blockers(scope: UpdateScope): readonly Blocker[] {
    if (this.closed) return [closedBlocker(this.label)];
    const blocker = (why: string, fix: string): Blocker[] => [{ device: undefined, object: this.label, why, fix }];
    const held = [...this.#holders].find((holder) => !scope.includes(holder));
    if (held !== undefined) {
      return blocker(
        `it is also mapped at ${held}, which is not handed over`,
        "hand that container over too, or unmap it there",
      );
    }
    if (this.backing() !== undefined) return [];
    return blocker(
      "it is private to this process, and has no file that could travel",
      'allocate it with { backing: "memfd" }, the default',
    );
  }

  /** @internal */
  preserve(add: AddDescriptor): PreservedMemory {
    const backing = this.backing();
    if (backing === undefined) throw invalidStateError(`${this.label} has no file`);
    const { label, length, pageSize, locked } = this;
    return { kind: "file", label, descriptor: add(backing.fd), length, pageSize, locked };
  }

  /** @internal */
  disown(): void {
    this.close();
  }

  /**
   * Memory that another process has preserved. Its devices come too, so the processes that have the file are those that it
   * trusted with it.
   *
   * @param fd belongs to the caller
   * @internal
   */
  static retrieve(
    { length, locked, label }: { readonly length: number; readonly locked: boolean; readonly label: string },
    fd: OwnedFd,
  ): DmaBuffer {
    return DmaBuffer.fromFd(fd, { length, locked, label, trustHolders: true });
  }

  /** @internal */
  hold(holder: object): void {
    this.#open();
    this.#holders.add(holder);
  }

  /** @internal */
  release(holder: object): void {
    this.#holders.delete(holder);
  }

  /**
   * Detaches every view and gives the memory back. A second call does nothing.
   *
   * @throws VfioError EBUSY while a container has it mapped: the buffer stays as it is
   */
  close(): void {
    const mapping = this.#mapping;
    if (mapping === undefined) return;
    if (this.#holders.size > 0) {
      throw new VfioError({
        errno: -16,
        syscall: "munmap",
        object: this.label,
        why: `a device may still use it: ${[...this.#holders].map(String).join(", ")}`,
        fix: "unmap it first (dispose the mapping, or close the container)",
      });
    }
    this.#mapping = undefined;
    this.#forget();
    this.#arrayBuffer = undefined;
    if (this.#windows.detach()) {
      native.munmap(mapping);
    } else {
      process.emitWarning(
        `${this.label} was moved out of its ArrayBuffer (transfer()): its memory stays until the process ends`,
        { type: "VfioLeakWarning", code: "VFIO_LEAK" },
      );
    }
    this.#fd?.close();
  }

  /** {@link close}, for `using`. */
  [Symbol.dispose](): void {
    this.close();
  }
}

/**
 * A memfd of a length that nobody changes. Otherwise a process that gets the descriptor (a vfio-user server, a guest's helper)
 * could cut the file, and end every process with SIGBUS that touches the memory. A server that is as careful maps sealed files
 * only.
 *
 * With huge pages the seal is not enough: see {@link cannotFault}.
 */
function makeMemfd(name: string, length: number, pages: NonNullable<DmaBufferOptions["pages"]>): OwnedFd {
  const huge = pages === "2M" || pages === "1G" ? hugeLog2[pages] : undefined;
  const flags = MFD_ALLOW_SEALING | (huge === undefined ? 0 : MFD_HUGETLB | (huge << MAP_HUGE_SHIFT));
  const fd = new OwnedFd(
    check(native.memfdCreate(name, flags >>> 0), () => ({ syscall: "memfd_create", args: { flags } })),
    `memfd:${name}`,
  );
  try {
    check(native.ftruncate(fd.number, length), () => ({ syscall: "ftruncate", args: { length } }));
    const seals = F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL;
    check(native.addSeals(fd.number, seals), () => ({ syscall: "fcntl", args: { seals }, object: fd.label }));
    return fd;
  } catch (error) {
    fd.close();
    throw error;
  }
}

showAs(DmaBuffer, (buffer) => `${buffer.label}, pages of ${buffer.pageSize}, ${openOrClosed(buffer)}`);
