/**
 * Traced calls as lines, in the way of strace(1).
 *
 * @module
 */
import type { TracedCall } from "./traced-call.js";
/**
 * One line for a call:
 *
 * ```text
 * ioctl(22</dev/iommu>, IOMMU_IOAS_UNMAP, {ioas_id=2, iova=0x1000, length=0x1000}) = 0x1000 <0.000024>
 * ```
 *
 * The last number is how long it took, in seconds.
 */
export declare function formatCall(call: TracedCall): string;
/** Which process and thread this is. */
export declare function here(): string;
