import { type DmaMemory } from "../../memory/dma-buffer.js";
import type { Frame } from "../protocol/framing.js";
/** A range of memory that the server may use. */
export interface ServedRange {
    readonly iova: bigint;
    readonly length: number;
    readonly read: boolean;
    readonly write: boolean;
    readonly memory: DmaMemory;
    /** Where in the memory it begins. */
    readonly offset: number;
}
/** Where a range is found by an address in it. */
export interface ServedMemory {
    at(iova: bigint): ServedRange | undefined;
}
/**
 * Answers a request of the server's.
 *
 * @param largest the most bytes that the server was told it may ask for
 * @param room memory for an answer, which is used again for the next one
 * @returns a message whose header is blank
 * @throws ProtocolError for a request that breaks the rules, or is for memory that the server may not have
 */
export declare function answerServer({ header, payload }: Frame, space: ServedMemory, largest: number, room: (length: number) => Uint8Array): Uint8Array;
