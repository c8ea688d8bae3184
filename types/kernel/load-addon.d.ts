import type { Native } from "./contract.js";
/** Why the package does not work here. */
export interface Unsupported {
    readonly supported: false;
    /** Why not: the system, the engine, or what became of the addon. */
    readonly why: string;
    /** What to do about it. */
    readonly fix: string;
}
/** What became of the addon. */
export type LoadedAddon = {
    readonly addon: Native;
} | {
    readonly unsupported: Unsupported;
    /** Whether building the addon in this package would help. */
    readonly buildHelps: boolean;
};
/** Loads the addon. It does not throw. */
export declare function loadAddon(): LoadedAddon;
