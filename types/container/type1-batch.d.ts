import type { DmaMapping } from "./mapping.js";
/**
 * Makes the maps of a batch from one of them on.
 *
 * @returns how many of the whole batch are behind it now, and why it stopped
 */
export declare function mapFrom(container: number, batch: BigUint64Array, index: number): {
    done: number;
    errno: number;
};
/** What `vfioIommuMapDmaBatch` takes. */
export declare function packMaps(mappings: readonly DmaMapping[], flags: (mapping: DmaMapping) => number): BigUint64Array;
