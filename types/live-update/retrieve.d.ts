import type { Container } from "../container/container.js";
import type { OwnedFd } from "../kernel/fd.js";
import { IntxConnection } from "../kvm/intx-connection.js";
import { MessageConnection } from "../kvm/message-connection.js";
import type { FrozenVector } from "../kvm/part.js";
import type { Vm } from "../kvm/vm.js";
import { DmaBuffer } from "../memory/dma-buffer.js";
import type { ConnectionItem } from "./manifest/connection.js";
import { type Manifest } from "./manifest/manifest.js";
/** Checks, before anything is used, that every descriptor is what the manifest says, and that no two containers are one file. */
export declare function checkReceived(manifest: Manifest, descriptors: readonly OwnedFd[]): void;
/** The objects that are made of the manifest. */
export interface RetrievedObjects {
    readonly containers: ReadonlyMap<string, Container>;
    readonly buffers: readonly DmaBuffer[];
    readonly memory: ReadonlyMap<string, DmaBuffer>;
    readonly descriptors: ReadonlyMap<string, OwnedFd>;
}
/**
 * Makes the containers with their devices and mappings, and the memory. They are frozen, and belong to the old process until it
 * commits.
 *
 * @throws after everything was closed again, except for the descriptors
 */
export declare function retrieveObjects(manifest: Manifest, descriptors: readonly OwnedFd[]): RetrievedObjects;
/**
 * Connects a device's interrupts to a machine of this process.
 *
 * @param vectors of the frozen part
 * @param descriptors all that came
 */
export declare function retrieveConnection(item: ConnectionItem, vectors: readonly FrozenVector[], vm: Vm, containers: ReadonlyMap<string, Container>, descriptors: readonly OwnedFd[], setLevel: ((device: string, level: boolean) => void) | undefined): MessageConnection | IntxConnection;
