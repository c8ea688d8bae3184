import type { DmaMemory } from "../memory/dma-buffer.js";
/** What stands in a section of an address space that containers mirror: memory, from an offset on. */
export interface MemoryPart {
    readonly memory: DmaMemory;
    /** In bytes, a multiple of the page size. */
    readonly offset: number;
}
