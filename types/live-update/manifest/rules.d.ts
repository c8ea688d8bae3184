/**
 * The rules between the parts of a manifest: an object that one part names exists in another, and nothing exists twice. The rules of
 * a single item stand beside its fields.
 *
 * The writer checks it before anything is touched, the reader before any descriptor is used.
 *
 * @module
 */
import { type ConnectionItem } from "./connection.js";
import { type ContainerItem } from "./container.js";
import { type MemoryItem } from "./memory.js";
import { type DescriptorUse, type Refuse } from "./schema.js";
import type { SocketItem } from "./socket.js";
/** The records of a manifest that name each other. */
export interface Sections {
    readonly memory: readonly MemoryItem[];
    readonly containers: readonly ContainerItem[];
    readonly sockets: readonly SocketItem[];
    readonly connections: readonly ConnectionItem[];
    readonly descriptors: readonly {
        readonly name: string;
    }[];
}
/** Checks a manifest whose single items have been checked. */
export declare function checkRules(manifest: Sections, refuse: Refuse): void;
/** Checks that each descriptor is used exactly once. */
export declare function checkDescriptors(uses: readonly DescriptorUse[], count: number, refuse: Refuse): void;
