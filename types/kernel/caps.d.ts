import { type VfioErrorInit } from "../base/errors.js";
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
/**
 * Walks a capability chain.
 *
 * @param bytes the info struct as the kernel or the server filled it in, not longer than its `argsz`; borrowed
 * @param firstOffset the struct's `cap_offset`; 0, as for a buffer that was too small for the chain, means that there is none
 * @param about what was asked and of what, for the error: the ioctl's name in `request`, the device or container in `object`
 * @throws VfioError `EPROTO` at the first fault: an offset that is out of bounds, misaligned, inside the fixed part, or in
 *   front of where the walk stands (a cycle among them), or a chain that is too long; what was yielded before is sound
 */
export declare function walkCapabilities(bytes: Uint8Array, firstOffset: number, about?: Partial<Pick<VfioErrorInit, "syscall" | "request" | "object">>): Generator<Capability, void, undefined>;
