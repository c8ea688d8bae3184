/**
 * A device's region: a BAR, the ROM, config space, or something of the device's own.
 *
 * @module
 */

import { constants } from "node:os";
import { anything, checkBytes, checkPart, checkRequired, knownOptions } from "../base/arguments.js";
import { outOfRangeError, VfioError } from "../base/errors.js";
import { listed, showAs } from "../base/inspect.js";
import type { OwnedFd } from "../kernel/fd.js";
import { native } from "../kernel/native.js";
import { VFIO_PCI_CONFIG_REGION_INDEX } from "../kernel/uapi.js";
import { exportDmaBuf } from "./dma-buf.js";
import { Ioeventfd, type IoeventfdOptions } from "./ioeventfd.js";
import { switchMemoryOn } from "./memory-space.js";
import type { OpenDevice } from "./open-device.js";
import type { WhyUnmappable } from "./port.js";
import { isBar, type RegionArea, type RegionInfo, type RegionType, readRegionInfo, regionName } from "./region-info.js";
import { RegionMap } from "./region-map.js";
import {
  checkProgram,
  checkRegister,
  checkValue,
  checkWidth,
  type ProgramStep,
  type RegisterProgram,
  type Registers,
  type Width,
} from "./registers.js";

const { EFAULT, EINVAL, EIO, EPERM } = constants.errno;

// linux/pci_regs.h: PCI_BASE_ADDRESS_0, and its bit that says "I/O ports"
const CONFIG_BAR0 = 0x10;
const BAR_IS_IO = 1;

const ioeventfdOptions = knownOptions<IoeventfdOptions>({
  offset: anything,
  width: checkWidth,
  value: anything,
  eventfd: anything,
});

// One access is at most 8 bytes, and nothing else runs while it is made.
const scratch = new Uint8Array(8);
const scratchView = new DataView(scratch.buffer);
const scratchOf = { 1: scratch.subarray(0, 1), 2: scratch.subarray(0, 2), 4: scratch.subarray(0, 4), 8: scratch };

/**
 * A region, reached through system calls: one `pread` or `pwrite` for each register, of exactly its width, which the
 * kernel turns into one access of the device (older kernels: 64 bits into two of 32).
 *
 * It works for every region; where a region can be mapped, {@link map} is several times faster. It belongs to its device
 * and has nothing to close.
 *
 * The memory space of a device is reachable while bit 1 of its COMMAND register is set and it is awake; a read or write
 * meanwhile fails with EIO. (The same access through a mapping ends the process with SIGBUS.)
 */
export class Region implements Registers {
  /** The index in `VFIO_DEVICE_GET_REGION_INFO`. */
  readonly index: number;
  /** `bar0` to `bar5`, `rom`, `config`, `vga`; `region 9` and so on for a device's own. */
  readonly name: string;
  readonly label: string;
  /** In bytes. */
  readonly size: number;
  /** The `VFIO_REGION_INFO_FLAG_*` as they are. */
  readonly flags: number;
  readonly readable: boolean;
  readonly writable: boolean;
  /** The parts that can be mapped, in order: all of it in one, or the areas of a sparse region, or none. */
  readonly mappableAreas: readonly RegionArea[];
  /** What it is, if it is a device-specific region. */
  readonly type: RegionType | undefined;
  /** Whether it holds the MSI-X table and can be mapped nevertheless. The kernel programs the table: do not write it. */
  readonly msixMappable: boolean;
  /** Where it begins in the device's descriptor, for a `pread`, `pwrite` or `mmap` of one's own. */
  readonly fileOffset: bigint;
  readonly #device: OpenDevice;
  readonly #isPci: boolean;
  #registers: RegionMap | undefined;

  /** @internal */
  constructor(device: OpenDevice, info: RegionInfo, isPci: boolean) {
    this.#device = device;
    this.#isPci = isPci;
    this.index = info.index;
    this.name = regionName(info.index, isPci);
    this.label = `${this.name} of ${device.address}`;
    this.size = info.size;
    this.flags = info.flags;
    this.readable = info.readable;
    this.writable = info.writable;
    this.mappableAreas = info.mappableAreas;
    this.type = info.type;
    this.msixMappable = info.msixMappable;
    this.fileOffset = info.fileOffset;
  }

  /** {@link size}, as {@link Registers} calls it. */
  get length(): number {
    return this.size;
  }

  /** Whether all of it can be mapped in one piece. */
  get mappable(): boolean {
    const [area] = this.mappableAreas;
    return area !== undefined && area.offset === 0 && area.length === this.size;
  }

  // ---- registers ---------------------------------------------------------------------------------------------------

  /** One read of 8 bits. */
  read8(offset: number): number {
    this.#read(offset, 1);
    return scratchView.getUint8(0);
  }

  /** One read of 16 bits. */
  read16(offset: number): number {
    this.#read(offset, 2);
    return scratchView.getUint16(0, true);
  }

  /** One read of 32 bits. */
  read32(offset: number): number {
    this.#read(offset, 4);
    return scratchView.getUint32(0, true);
  }

  /** One read of 64 bits. */
  read64(offset: number): bigint {
    this.#read(offset, 8);
    return scratchView.getBigUint64(0, true);
  }

  /** One write of 8 bits. */
  write8(offset: number, value: number): void {
    this.#write(offset, 1, value);
  }

  /** One write of 16 bits. */
  write16(offset: number, value: number): void {
    this.#write(offset, 2, value);
  }

  /** One write of 32 bits. */
  write32(offset: number, value: number): void {
    this.#write(offset, 4, value);
  }

  /** One write of 64 bits. */
  write64(offset: number, value: number | bigint): void {
    this.#write(offset, 8, value);
  }

  run(program: RegisterProgram): void {
    checkProgram("program", program);
    program.checkFits(this.label, this.size);
    const steps = Array.from({ length: program.length }, (_, index) => program.step(index));
    const ran = this.#device.port.run(this, steps, (index, value) => program.answer(index, value));
    if (ran === undefined) this.#runEach(program, steps);
    else if (ran.done < steps.length) {
      const { write, offset, width } = program.step(ran.done);
      throw this.#refusal(write ? "write" : "read", ran.status, offset, width);
    }
  }

  #runEach(program: RegisterProgram, steps: readonly ProgramStep[]): void {
    for (const [index, { width, write, offset, value }] of steps.entries()) {
      if (write) {
        this.#store(offset, width, value);
      } else {
        scratchView.setBigUint64(0, 0n);
        this.#load(offset, width);
        program.answer(index, scratchView.getBigUint64(0, true));
      }
    }
  }

  #read(offset: number, width: Width): void {
    checkRegister(this.label, this.size, offset, width);
    this.#load(offset, width);
  }

  #write(offset: number, width: Width, value: number | bigint): void {
    checkRegister(this.label, this.size, offset, width);
    this.#store(offset, width, checkValue(value, width));
  }

  #load(offset: number, width: Width): void {
    const done = this.#device.port.read(this, offset, scratchOf[width]);
    if (done !== width) throw this.#refusal("read", done, offset, width);
  }

  #store(offset: number, width: Width, value: bigint): void {
    scratchView.setBigUint64(0, value, true);
    const done = this.#device.port.write(this, offset, scratchOf[width]);
    if (done !== width) throw this.#refusal("write", done, offset, width);
  }

  #refusal(access: "read" | "write", status: number, offset: number, length: number): VfioError {
    const reason = () => {
      if (status >= 0) return { why: `it made ${status} of the ${length} bytes` };
      if (status === -EIO) {
        return {
          why: "the device's memory space is switched off, or the device is asleep",
          fix: switchMemoryOn,
        };
      }
      if (access === "write" && !this.writable) return { why: "it cannot be written" };
      if (!this.readable) return { why: "it cannot be read" };
      if (status === -EFAULT || status === -EINVAL) return { why: "the device has nothing there" };
      return {};
    };
    return new VfioError({
      errno: status < 0 ? status : EIO,
      syscall: this.#device.port.calls[access],
      args: { offset, length },
      object: this.label,
      ...reason(),
    });
  }

  // ---- bytes -------------------------------------------------------------------------------------------------------

  /**
   * Reads bytes, for what is memory rather than registers: a ROM, a frame buffer, a dump of config space. How wide the
   * accesses are is the kernel's choice.
   *
   * @throws RangeError if they are not within the region; VfioError
   */
  read(offset: number, length: number): Uint8Array {
    checkPart(this.label, this.size, offset, length);
    const bytes = new Uint8Array(length);
    this.#transfer("read", offset, bytes);
    return bytes;
  }

  /**
   * Writes bytes, for what is memory rather than registers. How wide the accesses are is the kernel's choice.
   *
   * @throws RangeError if they are not within the region; VfioError
   */
  write(offset: number, bytes: Uint8Array): void {
    checkBytes("bytes", bytes);
    checkPart(this.label, this.size, offset, bytes.length);
    this.#transfer("write", offset, bytes);
  }

  #transfer(access: "read" | "write", offset: number, bytes: Uint8Array): void {
    let done = 0;
    while (done < bytes.length) {
      const step = this.#device.port[access](this, offset + done, bytes.subarray(done));
      if (step <= 0) throw this.#refusal(access, step, offset + done, bytes.length - done);
      done += step;
    }
  }

  // ---- mapping -----------------------------------------------------------------------------------------------------

  /**
   * Maps a part into this process (all of it, if nothing is said). The mapping belongs to the caller; closing the device
   * closes it too. It is placed so that the kernel can use huge pages for it.
   *
   * @param offset in bytes: a multiple of the page size
   * @param length in bytes: a multiple of the page size, or up to the end of the region
   * @throws RangeError if the part is misaligned or outside; VfioError EINVAL if it cannot be mapped, saying why
   */
  map(offset = 0, length = this.size - offset): RegionMap {
    checkPart(this.label, this.size, offset, length);
    const pageSize = native.pageSize();
    if (length === 0) throw outOfRangeError("length", "greater than 0", length);
    if (offset % pageSize !== 0) throw outOfRangeError("offset", `a multiple of the page size ${pageSize}`, offset);
    if (length % pageSize !== 0 && offset + length !== this.size) {
      throw outOfRangeError("length", `a multiple of the page size ${pageSize}, or up to the region's end`, length);
    }
    const within = (area: RegionArea) => area.offset <= offset && offset + length <= area.offset + area.length;
    if (!this.mappableAreas.some(within)) {
      throw new VfioError({
        errno: EINVAL,
        syscall: "mmap",
        args: { offset, length },
        object: this.label,
        fix: "use the region's own read and write methods, which work without a mapping; registers() chooses by itself",
        ...this.#whyUnmappable(pageSize),
      });
    }
    return new RegionMap(this.#device, this, offset, length);
  }

  #whyUnmappable(pageSize: number): WhyUnmappable {
    if (this.mappableAreas.length > 0) {
      const areas = this.mappableAreas.map(
        (a) => `0x${a.offset.toString(16)}..0x${(a.offset + a.length).toString(16)}`,
      );
      return { why: `only parts of it can be mapped: ${areas.join(", ")}` };
    }
    return this.#device.port.whyUnmappable(this.index) ?? { why: this.#whyKernelMapsNothing(pageSize) };
  }

  #whyKernelMapsNothing(pageSize: number): string {
    if (this.#isPci && this.name === "config")
      return "config space is not memory: the kernel watches every access to it";
    if (this.#isPci && this.name === "rom") return "the kernel reads the ROM on the caller's behalf and maps none";
    if (this.#isPci && isBar(this.index) && this.#isIoBar()) return "it is a range of I/O ports, not of memory";
    if (this.size < pageSize) {
      return `it has ${this.size} bytes, less than a page (${pageSize}), and shares its page with other devices`;
    }
    return "the device's driver does not let it be mapped";
  }

  #isIoBar(): boolean {
    const config = readRegionInfo(this.#device, VFIO_PCI_CONFIG_REGION_INDEX, `config of ${this.#device.address}`);
    if (config === undefined) return false;
    const bytes = new Uint8Array(4);
    return (
      this.#device.port.read(config, CONFIG_BAR0 + 4 * this.index, bytes) === 4 && ((bytes[0] ?? 0) & BAR_IS_IO) !== 0
    );
  }

  /**
   * Its registers, the fastest way there is: a mapping, made at the first call and kept until the device closes, where
   * all of the region can be mapped; otherwise the region itself, with a system call for each access.
   */
  registers(): Registers {
    if (!this.mappable) return this;
    if (this.#registers === undefined || this.#registers.closed) this.#registers = this.map();
    return this.#registers;
  }

  // ---- other doors -------------------------------------------------------------------------------------------------

  /**
   * Makes a dma-buf of a part of a BAR (`VFIO_DEVICE_FEATURE_DMA_BUF`), which iommufd and other drivers can map for their
   * devices. It outlives the device's descriptor only as an empty shell: a closed or reset device takes its memory back.
   *
   * @param offset in bytes: a multiple of the page size
   * @param length in bytes: a multiple of the page size
   * @returns a descriptor that belongs to the caller
   * @throws VfioError ENOTTY or EOPNOTSUPP where the kernel or the driver cannot
   */
  exportDmaBuf(offset = 0, length = this.size - offset): OwnedFd {
    checkPart(this.label, this.size, offset, length);
    return exportDmaBuf(this.#device, this, offset, length);
  }

  /**
   * Has the kernel write a register whenever an eventfd is signalled (`VFIO_DEVICE_IOEVENTFD`), without this process.
   *
   * @throws VfioError EINVAL (not a BAR, or in the MSI-X table), EEXIST (the same write is set up already), ENOSPC (the
   *   kernel allows 1000 for a device)
   */
  ioeventfd(options: IoeventfdOptions): Ioeventfd {
    checkRequired("options", options, ioeventfdOptions, "width");
    checkRegister(this.label, this.size, options.offset, options.width);
    if (!this.writable) {
      throw new VfioError({
        errno: EPERM,
        syscall: this.#device.port.calls.request,
        request: "VFIO_DEVICE_IOEVENTFD",
        object: this.label,
      });
    }
    return Ioeventfd.make(this.#device, this, options);
  }

  toString(): string {
    return this.label;
  }
}

showAs(Region, (region) => {
  const may = [region.readable ? "read" : "", region.writable ? "write" : "", region.mappable ? "map" : ""];
  return `${region.label}, ${region.size} bytes, ${listed(may.filter(Boolean))}`;
});
