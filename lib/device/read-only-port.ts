/**
 * A device that still belongs to another process: it may be read, and nothing that changes it gets through.
 *
 * @module
 */
import type { RawDeviceInfo, RawHotResetInfo, RawIrqInfo, RawRegionInfo } from "../kernel/native.js";
import {
  VFIO_DEVICE_FEATURE_DMA_LOGGING_REPORT,
  VFIO_DEVICE_FEATURE_MASK,
  VFIO_DEVICE_FEATURE_PROBE,
  VFIO_DEVICE_FEATURE_SET,
} from "../kernel/uapi.js";
import type { DevicePort, PortRegion, RegionFile, WhyUnmappable } from "./port.js";
import type { ProgramStep } from "./registers.js";

/**
 * Another port, for reading only. Every request to the device goes through its port, so this is the one place that decides what
 * a process may do to a device that it does not own yet. Registers of a BAR that is mapped do not go through a port.
 */
export class ReadOnlyPort implements DevicePort {
  readonly #port: DevicePort;
  readonly #refusal: () => Error;

  /** @param refusal what a change is refused with */
  constructor(port: DevicePort, refusal: () => Error) {
    this.#port = port;
    this.#refusal = refusal;
  }

  get calls(): DevicePort["calls"] {
    return this.#port.calls;
  }

  get fd(): number {
    return this.#port.fd;
  }

  // ---- reads -------------------------------------------------------------------------------------------------------

  getInfo(argsz: number): RawDeviceInfo | number {
    return this.#port.getInfo(argsz);
  }

  getRegionInfo(index: number, argsz: number): RawRegionInfo | number {
    return this.#port.getRegionInfo(index, argsz);
  }

  getIrqInfo(index: number): RawIrqInfo | number {
    return this.#port.getIrqInfo(index);
  }

  read(region: PortRegion, offset: number, bytes: Uint8Array): number {
    return this.#port.read(region, offset, bytes);
  }

  regionFile(region: PortRegion): RegionFile | number {
    return this.#port.regionFile(region);
  }

  sharedFile(region: PortRegion): RegionFile | undefined {
    return this.#port.sharedFile(region);
  }

  whyUnmappable(index: number): WhyUnmappable | undefined {
    return this.#port.whyUnmappable(index);
  }

  hotResetInfo(room: number): RawHotResetInfo | number {
    return this.#port.hotResetInfo(room);
  }

  // ---- perhaps reads -----------------------------------------------------------------------------------------------

  run(
    region: PortRegion,
    steps: readonly ProgramStep[],
    answer: (index: number, value: bigint) => void,
  ): { readonly done: number; readonly status: number } | undefined {
    if (steps.some(({ write }) => write)) throw this.#refusal();
    return this.#port.run(region, steps, answer);
  }

  feature(flags: number, data?: Uint8Array): number {
    const probes = (flags & VFIO_DEVICE_FEATURE_PROBE) !== 0;
    if (!probes && changes(flags)) throw this.#refusal();
    return this.#port.feature(flags, data);
  }

  // ---- changes -----------------------------------------------------------------------------------------------------

  setIrqs(): never {
    throw this.#refusal();
  }

  write(): never {
    throw this.#refusal();
  }

  /** No set gets through, and so there is no answer to one. */
  adoptAnsweredFd(): never {
    throw this.#refusal();
  }

  reset(): never {
    throw this.#refusal();
  }

  async resetAsync(): Promise<never> {
    throw this.#refusal();
  }

  hotReset(): never {
    throw this.#refusal();
  }

  ioeventfd(): never {
    throw this.#refusal();
  }

  /** The descriptor is this process's own, and closing it changes nothing for the owner of the device. */
  close(): void {
    this.#port.close();
  }
}

function changes(flags: number): boolean {
  if ((flags & VFIO_DEVICE_FEATURE_SET) !== 0) return true;
  // linux/vfio.h: a report of the pages that the device has written clears them for the next one.
  return (flags & VFIO_DEVICE_FEATURE_MASK) === VFIO_DEVICE_FEATURE_DMA_LOGGING_REPORT;
}
