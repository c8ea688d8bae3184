/**
 * Many `VFIO_IOMMU_MAP_DMA` in one crossing: how they are packed.
 *
 * @module
 */
import type { DmaMapping } from "./mapping.js";
/** What `vfioIommuMapDmaBatch` takes. Its first word says afterwards why it stopped. */
export declare function packMaps(mappings: readonly DmaMapping[], flags: (mapping: DmaMapping) => number): BigUint64Array;
