import type { Blocker } from "../base/preserve.js";
import type { Iommufd } from "../iommufd/iommufd.js";
import type { HandOver } from "./hand-over.js";
export declare class IommufdHandOver implements HandOver {
    #private;
    constructor(iommufd: Iommufd, object: string, bars: () => readonly string[]);
    blockers(): readonly Blocker[];
    prepare(): void;
    freeze(): void;
    thaw(): void;
    takeOver(): void;
    finish(): void;
}
