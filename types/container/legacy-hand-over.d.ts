import type { Blocker } from "../base/preserve.js";
import type { HandOver } from "./hand-over.js";
import type { DmaMapping } from "./mapping.js";
import type { LegacyMode } from "./modes.js";
/** What it needs of the container. */
export interface LegacyHandOverOwner {
    readonly fd: number;
    readonly mode: LegacyMode;
    /** Whether a group has joined, and so the type is set. Before, the kernel has no answers. */
    readonly iommuSet: boolean;
    /** The mediated devices in it. */
    readonly mediated: readonly string[];
    readonly mappings: Iterable<DmaMapping>;
    toString(): string;
}
export declare class LegacyHandOver implements HandOver {
    #private;
    constructor(owner: LegacyHandOverOwner);
    blockers(): readonly Blocker[];
    prepare(): void;
    freeze(): void;
    takeOver(): void;
    finish(): void;
    thaw(): void;
}
