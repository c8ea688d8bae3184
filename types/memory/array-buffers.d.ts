/**
 * The `ArrayBuffer`s over a mapping.
 *
 * @module
 */
import { type MappingHandle } from "../kernel/native.js";
/**
 * The `ArrayBuffer`s over one mapping. Each is kept until {@link detach}, so the same part again is the same `ArrayBuffer`.
 *
 * They are not kept weakly: one whose memory was moved to another `ArrayBuffer` has to be noticed before the memory is unmapped.
 */
export declare class ArrayBuffers {
    #private;
    /**
     * An `ArrayBuffer` over a part of the mapping.
     *
     * @returns an errno, negative, if it cannot be
     */
    of(mapping: MappingHandle, offset: number, length: number): ArrayBuffer | number;
    /**
     * Empties all of them, with every view of them.
     *
     * @returns false if the memory of one was moved (`transfer()`): it is reachable still, and must stay mapped
     */
    detach(): boolean;
}
