/**
 * How a container passes from one process to another while its devices run: what each mode does in its own way.
 *
 * The kernel remembers whose memory a mapping is. Only that changes hands; the page tables, and with them the devices' DMA, stay
 * as they are.
 *
 * @module
 */
import type { Blocker } from "../base/preserve.js";
import type { ContainerMode } from "./modes.js";
/**
 * One container's part in a hand-over. In the old process: `prepare`, `freeze`, and `thaw` if it is rolled back. In the successor:
 * `prepare`, `takeOver`, `finish`.
 */
export interface HandOver {
    /** The reasons why it cannot be handed over that only its mode knows. Changes nothing. */
    blockers(): readonly Blocker[];
    /** Does beforehand what need not wait until everything is frozen. */
    prepare(): void;
    /**
     * Makes the memory's addresses in this process invalid for the kernel. The devices reach the memory as before.
     *
     * @throws VfioError; nothing has changed then
     */
    freeze(): void;
    /**
     * Makes the memory this process's again, also where a successor has taken it over in part.
     *
     * @throws VfioError
     */
    thaw(): void;
    /**
     * Makes the memory this process's: its addresses, and its locked pages.
     *
     * @throws VfioError; the old process can then thaw it
     */
    takeOver(): void;
    /** After the commit: it works as in the old process. Does not fail. */
    finish(): void;
}
/** What a successor must know of a container of the kernel's, besides its devices and mappings. */
export interface KernelContainerState {
    readonly mode: ContainerMode;
    /** The container's own descriptor. */
    readonly descriptor: number;
    /** iommufd: the id of the address space. */
    readonly ioas: number | undefined;
    /** Legacy: its groups. */
    readonly groups: readonly {
        readonly id: number;
        readonly descriptor: number;
    }[];
}
/**
 * What a successor must know of a container, by the record of the manifest that it stands in. A kind of container in a higher
 * room adds its own record to this interface.
 */
export interface PreservedContainers {
    readonly containers: KernelContainerState;
}
/** One container in the manifest of a live update: the descriptors are its indexes. */
export type PreservedContainer = {
    readonly [Kind in keyof PreservedContainers]: {
        readonly record: Kind;
        readonly state: PreservedContainers[Kind];
    };
}[keyof PreservedContainers];
