import type { AnyContainerMode } from "../../container/modes.js";
import { type MemoryItem } from "./memory.js";
import { type Part, type Refuse } from "./schema.js";
/** One recorded mapping, exactly as it was made. */
export interface MappingItem {
    readonly iova: bigint;
    readonly length: number;
    readonly read: boolean;
    readonly write: boolean;
    /** An index into the manifest's memory. */
    readonly memory: number;
    /** In the memory, in bytes. */
    readonly offset: number;
}
export declare const mappings: Part<readonly MappingItem[]>;
/** A container of any mode, as far as its mappings go. */
export interface Mapper {
    readonly mode: AnyContainerMode;
    readonly mappings: readonly MappingItem[];
}
/**
 * Checks the mappings of a container against the manifest's memory.
 *
 * @param name the container's, for messages
 */
export declare function checkMappings(mapper: Mapper, name: string, memory: readonly MemoryItem[], refuse: Refuse): void;
