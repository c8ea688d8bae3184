/**
 * The capability chain behind a VFIO info struct: `VFIO_DEVICE_GET_INFO`, `VFIO_DEVICE_GET_REGION_INFO`,
 * `VFIO_IOMMU_GET_INFO`, and the same replies of a vfio-user server.
 *
 * ```text
 *  0          fixed part      cap_offset             next               end
 *  | argsz, flags, ... | (gap) | id version next | ... | id version 0 | ... |
 *  |<---- every offset counts from here       ---->|
 * ```
 *
 * The chain comes from outside (a server may be hostile, a buffer may have been too small), so every step is checked. One
 * rule makes the walk end and its pieces disjoint: each capability begins behind the header of the one before. Linux only
 * ever appends to the end of a chain, and so does libvfio-user; nobody needs the way back.
 *
 * @module
 */
import { constants } from "node:os";
import { VfioError, type VfioErrorInit } from "../base/errors.js";

/** One capability of a chain. */
export interface Capability {
  /** Which one; the numbers are per info struct (`VFIO_REGION_INFO_CAP_*`, `VFIO_IOMMU_TYPE1_INFO_CAP_*`, ...). */
  readonly id: number;
  /** The version of its layout. */
  readonly version: number;
  /** Where it begins, from the start of the info struct. */
  readonly offset: number;
  /**
   * A view (not a copy) of the capability with its header of 8 bytes, up to where the next one begins, or to the end of
   * the struct. At least 8 bytes long and perhaps longer than its layout: compare before reading more.
   */
  readonly bytes: Uint8Array;
}

// struct vfio_info_cap_header: u16 id, u16 version, u32 next.
const HEADER = 8;
// Since Linux 6.6 (commit a881b496941f) capabilities begin at multiples of 8; before, only at multiples of 4: the device
// info was 20 bytes long and the DMA_AVAIL capability 12.
const ALIGNMENT = 4;
// Linux 7.3 defines at most five for one struct, and no id is repeated.
const LONGEST = 256;

/**
 * Walks a capability chain.
 *
 * @param bytes the info struct as the kernel or the server filled it in, not longer than its `argsz`; borrowed
 * @param firstOffset the struct's `cap_offset`; 0, as for a buffer that was too small for the chain, means that there is none
 * @param about what was asked and of what, for the error: the ioctl's name in `request`, the device or container in `object`
 * @throws VfioError `EPROTO` at the first fault: an offset that is out of bounds, misaligned, inside the fixed part, or in
 *   front of where the walk stands (a cycle among them), or a chain that is too long; what was yielded before is sound
 */
export function* walkCapabilities(
  bytes: Uint8Array,
  firstOffset: number,
  about: Partial<Pick<VfioErrorInit, "syscall" | "request" | "object">> = {},
): Generator<Capability, void, undefined> {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const visited = new Set<number>();

  const refuse = (offset: number, from: number, why: string): VfioError =>
    new VfioError({
      errno: constants.errno.EPROTO,
      syscall: "ioctl",
      ...about,
      args: { offset, from, length: bytes.length },
      why: `bad capability chain: ${why}`,
      fix: "this is a fault of the kernel or of the vfio-user server that wrote the chain: report it there",
    });

  // Checks where the capability (or, at 0, the struct itself) at `from` says that the next one is.
  const check = (offset: number, from: number): number => {
    const at = `offset 0x${offset.toString(16)}`;
    if (!Number.isInteger(offset) || offset < 0 || offset > bytes.length - HEADER) {
      throw refuse(offset, from, `no header fits at ${at} in ${bytes.length} bytes`);
    }
    if (offset % ALIGNMENT !== 0) throw refuse(offset, from, `${at} is not a multiple of ${ALIGNMENT}`);
    if (visited.has(offset))
      throw refuse(offset, from, `the one at 0x${from.toString(16)} leads back to ${at}: a cycle`);
    // At 0 there are argsz and flags, which every info struct begins with: as long as a header.
    if (offset < from + HEADER) {
      throw refuse(offset, from, `${at} is not behind the header at 0x${from.toString(16)}`);
    }
    if (visited.size === LONGEST) throw refuse(offset, from, `more than ${LONGEST} capabilities`);
    visited.add(offset);
    return offset;
  };

  let offset = firstOffset === 0 ? 0 : check(firstOffset, 0);
  while (offset !== 0) {
    const announced = view.getUint32(offset + 4, true);
    const next = announced === 0 ? 0 : check(announced, offset);
    yield {
      id: view.getUint16(offset, true),
      version: view.getUint16(offset + 2, true),
      offset,
      bytes: bytes.subarray(offset, next === 0 ? bytes.length : next),
    };
    offset = next;
  }
}
