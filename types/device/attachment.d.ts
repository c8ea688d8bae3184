/**
 * What a device knows of the container it hangs on, and no more: the device layer does not know containers.
 *
 * @module
 */
import type { OwnedFd } from "../fd.js";
/** A device's descriptor and its tie to a container; made by a container's `attach`. */
export interface Attachment {
    /** The device's PCI address (`0000:01:00.0`), or a mediated device's UUID. */
    readonly address: string;
    /** The device's descriptor. It belongs to the {@link Device} made from this. */
    readonly fd: OwnedFd;
    /** The door it was opened through: a group (`/dev/vfio/N`), or its own character device bound to an iommufd. */
    readonly door: "group" | "cdev";
    /** For a cdev: the device's id in its iommufd, which a hot reset's list uses. */
    readonly iommufdId: number | undefined;
    /** For a cdev: the id of the page table that it is attached to. */
    readonly pageTableId: number | undefined;
    /** For a group: its number. */
    readonly group: number | undefined;
    /** For a group: the descriptors (borrowed) of every group in the same container by number, as a hot reset wants them. */
    groupFds(): ReadonlyMap<number, number>;
    /** Undoes the tie, in the right order, before the device's descriptor is closed. Called once. */
    beforeClose(): void;
    /** Undoes what must wait until the device's descriptor is closed. Called once. */
    afterClose(): void;
}
