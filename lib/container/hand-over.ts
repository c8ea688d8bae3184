/**
 * How a container passes from one process to another while its devices run: what each mode does in its own way.
 *
 * The kernel remembers whose memory a mapping is. Only that changes hands; the page tables, and with them the devices' DMA, stay
 * as they are.
 *
 * @module
 */
import type { Blocker } from "../base/preserve.js";
import type { ContainerMode } from "./container.js";

/** One container's part in a hand-over. In the old process: `invalidate`, perhaps `restore`. In the successor: `takeOver`. */
export interface HandOver {
  /** What stands in the way, as far as this mode knows. Looks only. */
  blockers(): readonly Blocker[];
  /** Before everything is frozen: what can be done then already. */
  prepare(): void;
  /**
   * The kernel takes the memory's addresses in this process for invalid from now on; the devices reach it as before.
   *
   * @throws VfioError; nothing has changed then
   */
  invalidate(): void;
  /**
   * Makes the memory this process's again, whoever has it now: also what a successor has taken over in part.
   *
   * @throws VfioError
   */
  restore(): void;
  /**
   * Makes the memory this process's: its addresses, and its locked pages.
   *
   * @throws VfioError; the old process can restore everything then
   */
  takeOver(): void;
  /** The word was given: from here on nobody else uses it. Does not fail. */
  begin(): void;
}

/** What a successor must know of a container of the kernel's, besides its devices and mappings. */
export interface KernelContainerState {
  readonly mode: ContainerMode;
  /** The container's own descriptor. */
  readonly descriptor: number;
  /** iommufd: the id of the address space. */
  readonly ioas: number | undefined;
  /** Legacy: its groups. */
  readonly groups: readonly { readonly id: number; readonly descriptor: number }[];
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
  readonly [Kind in keyof PreservedContainers]: { readonly record: Kind; readonly state: PreservedContainers[Kind] };
}[keyof PreservedContainers];
