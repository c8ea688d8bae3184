import type { FrozenPart } from "./frozen.js";
import type { Manifest } from "./manifest.js";
import { type DescriptorUse, type Refuse } from "./schema.js";
/** Checks a manifest whose single items have been checked. */
export declare function checkRules(manifest: Manifest, refuse: Refuse): void;
/** Checks that each descriptor is used exactly once. */
export declare function checkDescriptors(uses: readonly DescriptorUse[], count: number, refuse: Refuse): void;
/** Checks that a frozen part has its manifest's connections, one to one. */
export declare function checkFrozenFits({ connections }: FrozenPart, manifest: Manifest, refuse: Refuse): void;
