/**
 * What each descriptor of a manifest is.
 *
 * @module
 */
import type { DescriptorKind } from "./descriptor-kind.js";
import type { DescriptorIndex, Manifest, MemoryItem } from "./manifest.js";
/** One place where a manifest speaks of a descriptor. */
export interface DescriptorUse {
    readonly index: DescriptorIndex;
    /** What the descriptor must be. */
    readonly expected: DescriptorKind;
    /** What it is to the program, for messages: `msix 3 of 0000:01:00.0`. */
    readonly what: string;
}
/** A name from a manifest as messages show it: what could disturb a terminal is escaped. */
export declare function quote(name: string): string;
export declare function nameContainer(container: {
    readonly name: string;
}): string;
export declare function nameMemory(memory: MemoryItem, index: number): string;
/** Every place where a manifest speaks of a descriptor, in the manifest's order. */
export declare function descriptorUses(manifest: Manifest): Generator<DescriptorUse>;
