/**
 * Many `VFIO_IOMMU_MAP_DMA` in one crossing: how they are packed.
 *
 * @module
 */
import { native } from "../kernel/native.js";
import { BatchWriter } from "./batch-writer.js";
import type { DmaMapping } from "./mapping.js";

/** The words of each entry: flags, address, IOVA, size; one word for the errno goes before them all. */
const WORDS = 4;

/**
 * Makes the maps of a batch from one of them on.
 *
 * @returns how many of the whole batch are behind it now, and why it stopped
 */
export function mapFrom(container: number, batch: BigUint64Array, index: number): { done: number; errno: number } {
  const rest = batch.subarray(WORDS * index);
  const count = (rest.length - 1) / WORDS;
  // The word for the errno is the last one of the map before, which may be wanted again.
  const [before = 0n] = rest;
  const made = native.vfioIommuMapDmaBatch(container, rest, count);
  const errno = Number(rest[0]);
  rest[0] = before;
  return { done: index + made, errno };
}

/** What `vfioIommuMapDmaBatch` takes. */
export function packMaps(mappings: readonly DmaMapping[], flags: (mapping: DmaMapping) => number): BigUint64Array {
  const batch = new BatchWriter(1 + WORDS * mappings.length);
  for (const mapping of mappings) {
    batch.add(flags(mapping));
    batch.add(mapping.address);
    batch.addIova(mapping.iova);
    batch.add(mapping.length);
  }
  return batch.words;
}
