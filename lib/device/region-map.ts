/**
 * A part of a region, mapped into this process.
 *
 * @module
 */

import { constants } from "node:os";
import { checkPart } from "../base/arguments.js";
import { invalidStateError, VfioError } from "../base/errors.js";
import { openOrClosed, showAs } from "../base/inspect.js";
import { watchForLeak } from "../base/leak.js";
import type { Blocker, UpdateScope } from "../base/preserve.js";
import type { OwnedFd } from "../kernel/fd.js";
import { type MappingHandle, native } from "../kernel/native.js";
import { ArrayBuffers } from "../memory/array-buffers.js";
import { type DmaMemory, dmaMemory, type PreservedMemory } from "../memory/dma-buffer.js";
import { exportDmaBuf } from "./dma-buf.js";
import { memorySpaceOff, switchMemoryOn } from "./memory-space.js";
import type { DevicePart, OpenDevice } from "./open-device.js";
import {
  checkProgram,
  checkRegister,
  checkValue,
  type RegisterProgram,
  type Registers,
  type Width,
} from "./registers.js";

const { EBUSY, ENOMEM, EPERM } = constants.errno;
const PROT_READ = 1;
const PROT_WRITE = 2;
const MAP_SHARED = 1;
const GiB = 2 ** 30;
const MiB = 2 ** 20;

/**
 * The alignment at which the kernel can use its largest pages for a mapping: the largest power of two in the length, up
 * to the largest page there is.
 */
export function hugeAlignment(length: number): number {
  return Math.min(2 ** Math.floor(Math.log2(length)), GiB);
}

/** The largest page that can map something of this length at this offset of a naturally aligned BAR. */
export function largestPage(offset: number, length: number, basePage: number): number {
  for (const size of [GiB, 2 * MiB]) if (length >= size && offset % size === 0) return size;
  return basePage;
}

/** The region that a {@link RegionMap} maps; a `Region` is one. */
export interface MappedRegion {
  /** The index in `VFIO_DEVICE_GET_REGION_INFO`. */
  readonly index: number;
  /** Where it begins in the device's file, in bytes. */
  readonly fileOffset: bigint;
  /** The device's address and the region's name, for messages. */
  readonly label: string;
  /** In bytes. */
  readonly size: number;
  readonly readable: boolean;
  readonly writable: boolean;
}

/**
 * A device's memory in this process, for its registers and as memory that other devices can be given.
 *
 * Each read and write is one access by the processor, made outside of JavaScript: an engine merges, repeats, splits and
 * drops accesses of its own typed arrays.
 *
 * Touching it while the device's memory space is off (bit 1 of COMMAND) or the device is asleep ends the process with
 * SIGBUS; touching it during a reset waits for the end of the reset. Use the region's own methods where that may be.
 */
export class RegionMap implements DmaMemory, Registers, Disposable {
  readonly [dmaMemory] = true;
  readonly kind = "bar";
  readonly label: string;
  readonly address: number;
  readonly length: number;
  readonly pageSize: number;
  /** The region. */
  readonly region: MappedRegion;
  /** Where in the region the mapping begins, in bytes. */
  readonly offset: number;
  readonly #device: OpenDevice;
  readonly #writable: boolean;
  readonly #holders = new Set<object>();
  readonly #windows = new ArrayBuffers();
  readonly #part: DevicePart;
  readonly #forget: () => void;
  #mapping: MappingHandle | undefined;
  #dmaBuf: OwnedFd | undefined;

  /** @internal */
  constructor(device: OpenDevice, region: MappedRegion, offset: number, length: number) {
    const prot = (region.readable ? PROT_READ : 0) | (region.writable ? PROT_WRITE : 0);
    const file = device.port.regionFile(region);
    const mapping =
      typeof file === "number"
        ? file
        : native.mmap(length, prot, MAP_SHARED, file.fd, file.offset + BigInt(offset), hugeAlignment(length));
    if (typeof mapping === "number") {
      throw new VfioError({
        errno: mapping,
        syscall: "mmap",
        args: { offset, length },
        object: region.label,
        ...(mapping === -EBUSY ? { why: "another driver holds the BAR's addresses" } : {}),
        ...(mapping === -ENOMEM ? { why: "this process has no address space left for it" } : {}),
      });
    }
    this.#mapping = mapping;
    this.#device = device;
    this.#writable = region.writable;
    this.region = region;
    this.offset = offset;
    this.length = length;
    this.pageSize = largestPage(offset, length, native.pageSize());
    this.address = native.mappingAddress(mapping);
    const end = offset + length;
    this.label =
      length === region.size ? region.label : `${region.label} (0x${offset.toString(16)}..0x${end.toString(16)})`;
    const holders = this.#holders;
    this.#part = {
      get holdup() {
        return holders.size === 0 ? undefined : [...holders].map(String).join(", ");
      },
      close: () => this.close(),
      disown: () => this.#drop(),
    };
    device.parts.add(this.#part);
    this.#forget = watchForLeak(this, `a mapping of ${this.label}`, "close()");
  }

  /** Whether it has been closed. */
  get closed(): boolean {
    return this.#mapping === undefined;
  }

  // ---- registers ---------------------------------------------------------------------------------------------------

  /** One read of 8 bits. */
  read8(offset: number): number {
    const mapping = this.#open();
    try {
      return native.mmioRead8(mapping, offset);
    } catch (error) {
      throw this.#refusal(error, 1, offset);
    }
  }

  /** One read of 16 bits. */
  read16(offset: number): number {
    const mapping = this.#open();
    try {
      return native.mmioRead16(mapping, offset);
    } catch (error) {
      throw this.#refusal(error, 2, offset);
    }
  }

  /** One read of 32 bits. */
  read32(offset: number): number {
    const mapping = this.#open();
    try {
      return native.mmioRead32(mapping, offset);
    } catch (error) {
      throw this.#refusal(error, 4, offset);
    }
  }

  /** One read of 64 bits. */
  read64(offset: number): bigint {
    const mapping = this.#open();
    try {
      return native.mmioRead64(mapping, offset);
    } catch (error) {
      throw this.#refusal(error, 8, offset);
    }
  }

  /** One write of 8 bits. */
  write8(offset: number, value: number): void {
    const mapping = this.#openForWrites();
    try {
      native.mmioWrite8(mapping, offset, value);
    } catch (error) {
      throw this.#refusal(error, 1, offset, value);
    }
  }

  /** One write of 16 bits. */
  write16(offset: number, value: number): void {
    const mapping = this.#openForWrites();
    try {
      native.mmioWrite16(mapping, offset, value);
    } catch (error) {
      throw this.#refusal(error, 2, offset, value);
    }
  }

  /** One write of 32 bits. */
  write32(offset: number, value: number): void {
    const mapping = this.#openForWrites();
    try {
      native.mmioWrite32(mapping, offset, value);
    } catch (error) {
      throw this.#refusal(error, 4, offset, value);
    }
  }

  /** One write of 64 bits. */
  write64(offset: number, value: number | bigint): void {
    const mapping = this.#openForWrites();
    try {
      native.mmioWrite64(mapping, offset, value);
    } catch (error) {
      throw this.#refusal(error, 8, offset, value);
    }
  }

  run(program: RegisterProgram): void {
    checkProgram("program", program);
    const mapping = program.writes ? this.#openForWrites() : this.#open();
    program.checkFits(this.label, this.length);
    native.mmioRun(mapping, program.words);
  }

  // The addon checks each access as part of reading its arguments, which costs nothing. It knows neither the names of the
  // arguments nor that of the region, so the check is made again here once it has refused one.
  #refusal(error: unknown, width: Width, offset: number, ...values: readonly (number | bigint)[]): unknown {
    checkRegister(this.label, this.length, offset, width);
    for (const value of values) checkValue(value, width);
    return error;
  }

  #open(): MappingHandle {
    if (this.#mapping === undefined) throw invalidStateError(`the mapping of ${this.label} is closed`);
    return this.#mapping;
  }

  #openForWrites(): MappingHandle {
    this.#device.refuseLocked("use");
    if (this.#writable) return this.#open();
    throw new VfioError({ errno: EPERM, syscall: "mmap", object: this.label, why: "the region cannot be written" });
  }

  // ---- memory ------------------------------------------------------------------------------------------------------

  /**
   * An `ArrayBuffer` over a part, for what is plain memory (a frame buffer, a shared-memory device). It is kept until {@link close}:
   * the same part again is the same `ArrayBuffer`.
   *
   * Not for registers. Engines promise the width of an access to a typed array and not how often it happens: equal reads
   * are merged (Node 24 and later), an unused one is dropped, `DataView` and `Buffer` read byte by byte until they are
   * optimised, `set` and `fill` store up to 64 bytes at once, and `Atomics.store` is a locked read and write.
   *
   * It is empty after {@link close}. Do not `transfer()` it: the mapping would then have to stay until the process ends.
   */
  unsafeArrayBuffer(offset = 0, length = this.length - offset): ArrayBuffer {
    const mapping = this.#open();
    checkPart(this.label, this.length, offset, length);
    const buffer = this.#windows.of(mapping, offset, length);
    if (typeof buffer !== "number") return buffer;
    throw new VfioError({
      errno: buffer,
      syscall: "napi_create_external_arraybuffer",
      args: { offset, length },
      object: this.label,
      why: "this engine makes no ArrayBuffer of that length over memory of our own (Node 20: up to 4 GiB)",
      fix: "ask for smaller parts",
    });
  }

  /**
   * A dma-buf of the mapped part, which is how iommufd maps a BAR for other devices. Made at the first call, kept as long
   * as the mapping; borrowed. Of a vfio-user device it is the file that the region came with.
   *
   * @throws VfioError where the kernel or the device's driver makes none
   */
  backing(): { readonly fd: number; readonly offset: number } {
    this.#open();
    const file = this.#device.port.sharedFile(this.region);
    if (file !== undefined) return { fd: file.fd, offset: Number(file.offset) + this.offset };
    if (this.#dmaBuf === undefined) {
      this.#dmaBuf = exportDmaBuf(this.#device, this.region, this.offset, this.length);
      this.#dmaBuf.leaveWarningToOwner();
    }
    return { fd: this.#dmaBuf.number, offset: 0 };
  }

  /** Why a container could not map it for other devices, where the device's own state is the reason. @internal */
  get obstacle(): { readonly why: string; readonly fix: string } | undefined {
    if (!memorySpaceOff(this.#device)) return undefined;
    return { why: `the memory space of ${this.#device.address} is switched off`, fix: switchMemoryOn };
  }

  /** @internal */
  blockers(scope: UpdateScope): readonly Blocker[] {
    if (scope.includes(this.#device.attachment)) return [];
    return [
      {
        device: undefined,
        object: this.label,
        why: "it is memory of a device that is not handed over",
        fix: "hand its container over too, or unmap it first and map it again afterwards",
      },
    ];
  }

  /** @internal */
  preserve(): PreservedMemory {
    const { region, offset, length } = this;
    return { kind: "bar", device: this.#device.attachment, region: region.index, offset, length };
  }

  /** As its device is disowned. @internal */
  disown(): void {
    this.#drop();
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
   * Unmaps it. A second call does nothing.
   *
   * @throws VfioError EBUSY while a container has it mapped for other devices: it stays as it is
   */
  close(): void {
    if (this.#mapping === undefined) return;
    const holdup = this.#part.holdup;
    if (holdup !== undefined) {
      throw new VfioError({
        errno: EBUSY,
        syscall: "munmap",
        object: this.label,
        why: `a device may still use it: ${holdup}`,
        fix: "unmap it first (dispose the mapping, or close the container)",
      });
    }
    this.#drop();
  }

  #drop(): void {
    const mapping = this.#mapping;
    if (mapping === undefined) return;
    this.#mapping = undefined;
    this.#forget();
    this.#device.parts.delete(this.#part);
    if (this.#windows.detach()) {
      native.munmap(mapping);
    } else {
      process.emitWarning(
        `${this.label} was moved out of its ArrayBuffer (transfer()): it stays mapped, and the device open, until the ` +
          "process ends",
        { type: "VfioLeakWarning", code: "VFIO_LEAK" },
      );
    }
    this.#dmaBuf?.close();
  }

  /** {@link close}, for `using`. */
  [Symbol.dispose](): void {
    this.close();
  }

  toString(): string {
    return this.label;
  }
}

showAs(RegionMap, (map) => `${map.label}, ${map.length} bytes, ${openOrClosed(map)}`);
