import { type PreservedDevice } from "../device/state.js";
import type { KernelContainerState } from "./hand-over.js";
/** A container in the manifest. */
export interface RetrievedContainer extends KernelContainerState {
    readonly devices: readonly PreservedDevice[];
}
