/**
 * Many `VFIO_IOMMU_MAP_DMA` in one crossing: how they are packed.
 *
 * @module
 */
import type { DmaMapping } from "./mapping.js";

/** The words of each entry: flags, address, IOVA, size; one word for the errno goes before them all. */
const WORDS = 4;

/** What `vfioIommuMapDmaBatch` takes. Its first word says afterwards why it stopped. */
export function packMaps(mappings: readonly DmaMapping[], flags: (mapping: DmaMapping) => number): BigUint64Array {
  const batch = new BigUint64Array(1 + WORDS * mappings.length);
  let word = 1;
  for (const mapping of mappings) {
    batch[word++] = BigInt(flags(mapping));
    batch[word++] = BigInt(mapping.address);
    batch[word++] = mapping.iova;
    batch[word++] = BigInt(mapping.length);
  }
  return batch;
}
