/**
 * `VFIO_DEVICE_GET_REGION_INFO`: where a region lies, what may be done with it, and its capabilities.
 *
 * @module
 */
import { constants } from "node:os";
import { VfioError } from "../base/errors.js";
import { walkCapabilities } from "../kernel/caps.js";
import { growingInfo } from "../kernel/enough-room.js";
import type { RawRegionInfo } from "../kernel/native.js";
import {
  VFIO_PCI_BAR0_REGION_INDEX,
  VFIO_PCI_BAR5_REGION_INDEX,
  VFIO_PCI_CONFIG_REGION_INDEX,
  VFIO_PCI_ROM_REGION_INDEX,
  VFIO_PCI_VGA_REGION_INDEX,
  VFIO_REGION_INFO_CAP_MSIX_MAPPABLE,
  VFIO_REGION_INFO_CAP_SPARSE_MMAP,
  VFIO_REGION_INFO_CAP_TYPE,
  VFIO_REGION_INFO_FLAG_CAPS,
  VFIO_REGION_INFO_FLAG_MMAP,
  VFIO_REGION_INFO_FLAG_READ,
  VFIO_REGION_INFO_FLAG_WRITE,
} from "../kernel/uapi.js";
import type { OpenDevice } from "./open-device.js";

/** The fixed regions of a PCI device. */
export type RegionName = "bar0" | "bar1" | "bar2" | "bar3" | "bar4" | "bar5" | "rom" | "config" | "vga";

/** What a device-specific region is: `VFIO_REGION_TYPE_*` and the subtype within it. */
export interface RegionType {
  /** For a vendor's own region `0x80000000 | vendor id`. */
  readonly type: number;
  readonly subtype: number;
}

/** A part of a region. */
export interface RegionArea {
  /** From the start of the region, in bytes. */
  readonly offset: number;
  /** In bytes. */
  readonly length: number;
}

/** What the kernel says of a region. */
export interface RegionInfo {
  readonly index: number;
  /** The `VFIO_REGION_INFO_FLAG_*` as they are. */
  readonly flags: number;
  /** In bytes; 0 for a region that the device does not have. */
  readonly size: number;
  /** Where it begins in the device's file, for `pread`, `pwrite` and `mmap`. */
  readonly fileOffset: bigint;
  readonly readable: boolean;
  readonly writable: boolean;
  /** The parts that may be mapped into this process: all of it, the areas of a sparse region, or none. */
  readonly mappableAreas: readonly RegionArea[];
  /** What it is, if it is device-specific. */
  readonly type: RegionType | undefined;
  /** Whether it holds the MSI-X table and may be mapped nevertheless. The kernel programs the table: do not write it. */
  readonly msixMappable: boolean;
}

const { EINVAL, EPROTO } = constants.errno;
// linux/vfio.h: sizeof(struct vfio_region_info), of a capability's header, of a sparse area
const INFO_SIZE = 32;
const CAP_HEADER = 8;
const SPARSE_AREAS = 16;
const SPARSE_AREA = 16;

const fixedNames: readonly RegionName[] = ["bar0", "bar1", "bar2", "bar3", "bar4", "bar5", "rom", "config", "vga"];

/** The name of a region of a PCI device, or a made-up one. */
export function regionName(index: number, isPci: boolean): string {
  return (isPci ? fixedNames[index] : undefined) ?? `region ${index}`;
}

/** The index of a named region. */
export function regionIndex(name: RegionName): number {
  switch (name) {
    case "rom":
      return VFIO_PCI_ROM_REGION_INDEX;
    case "config":
      return VFIO_PCI_CONFIG_REGION_INDEX;
    case "vga":
      return VFIO_PCI_VGA_REGION_INDEX;
    default:
      return VFIO_PCI_BAR0_REGION_INDEX + fixedNames.indexOf(name);
  }
}

/** Whether a PCI device's region is a BAR. */
export function isBar(index: number): boolean {
  return index >= VFIO_PCI_BAR0_REGION_INDEX && index <= VFIO_PCI_BAR5_REGION_INDEX;
}

function faulty(object: string, why: string): VfioError {
  return new VfioError({
    errno: EPROTO,
    syscall: "ioctl",
    request: "VFIO_DEVICE_GET_REGION_INFO",
    object,
    why,
    fix: "this is a fault of the kernel or of the vfio-user server: report it there",
  });
}

/** A size or offset that JavaScript can count with: every one that the kernel gives is below 2^53. */
function countable(value: bigint, what: string, object: string): number {
  if (value <= BigInt(Number.MAX_SAFE_INTEGER)) return Number(value);
  throw faulty(object, `${what} 0x${value.toString(16)} is beyond what a process can address`);
}

/** The areas of a sparse-mmap capability. Empty ones carry no meaning and are left out. */
function sparseAreas(bytes: Uint8Array, size: number, object: string): RegionArea[] {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const count = bytes.length >= SPARSE_AREAS ? view.getUint32(CAP_HEADER, true) : 0;
  if (bytes.length < SPARSE_AREAS + count * SPARSE_AREA) {
    throw faulty(object, `the sparse areas do not fit into their capability: ${count} in ${bytes.length} bytes`);
  }
  const areas: RegionArea[] = [];
  for (let i = 0; i < count; i++) {
    const at = SPARSE_AREAS + i * SPARSE_AREA;
    const offset = countable(view.getBigUint64(at, true), "the area's offset", object);
    const length = countable(view.getBigUint64(at + 8, true), "the area's length", object);
    if (offset + length > size)
      throw faulty(object, `a mappable area ends at ${offset + length}, behind its end ${size}`);
    if (length > 0) areas.push({ offset, length });
  }
  return areas.sort((a, b) => a.offset - b.offset);
}

/**
 * Reads an answer of the kernel or of a vfio-user server.
 *
 * @param object for errors
 * @throws VfioError EPROTO if it contradicts itself
 */
export function parseRegionInfo(index: number, raw: RawRegionInfo, object: string): RegionInfo {
  const size = countable(raw.size, "the size", object);
  const mappable = (raw.flags & VFIO_REGION_INFO_FLAG_MMAP) !== 0;
  let areas: RegionArea[] = mappable && size > 0 ? [{ offset: 0, length: size }] : [];
  let type: RegionType | undefined;
  let msixMappable = false;
  const capOffset = (raw.flags & VFIO_REGION_INFO_FLAG_CAPS) !== 0 ? raw.capOffset : 0;
  const about = { request: "VFIO_DEVICE_GET_REGION_INFO", object };
  for (const { id, bytes } of walkCapabilities(raw.bytes.subarray(0, raw.argsz), capOffset, about)) {
    if (id === VFIO_REGION_INFO_CAP_SPARSE_MMAP && mappable) areas = sparseAreas(bytes, size, object);
    if (id === VFIO_REGION_INFO_CAP_MSIX_MAPPABLE) msixMappable = true;
    if (id === VFIO_REGION_INFO_CAP_TYPE && bytes.length >= CAP_HEADER + 8) {
      const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
      type = { type: view.getUint32(CAP_HEADER, true), subtype: view.getUint32(CAP_HEADER + 4, true) };
    }
  }
  return {
    index,
    flags: raw.flags,
    size,
    fileOffset: raw.offset,
    readable: (raw.flags & VFIO_REGION_INFO_FLAG_READ) !== 0,
    writable: (raw.flags & VFIO_REGION_INFO_FLAG_WRITE) !== 0,
    mappableAreas: areas,
    type,
    msixMappable,
  };
}

/**
 * Asks for a region.
 *
 * @returns undefined if the device has no such region
 * @throws VfioError
 * @internal
 */
export function readRegionInfo(device: OpenDevice, index: number, object: string): RegionInfo | undefined {
  const { port } = device;
  const about = { syscall: port.calls.request, request: "VFIO_DEVICE_GET_REGION_INFO", object };
  const raw = growingInfo(INFO_SIZE, (argsz) => port.getRegionInfo(index, argsz), about);
  // A device without VGA answers EINVAL to its index, and so do some mediated ones to what they do not have.
  if (raw === -EINVAL) return undefined;
  if (typeof raw === "number") throw new VfioError({ ...about, errno: raw, args: { index } });
  const info = parseRegionInfo(index, raw, object);
  return info.size === 0 ? undefined : info;
}
