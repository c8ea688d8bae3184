/**
 * What a device knows of the container it hangs on, and no more: the device layer does not know containers.
 *
 * @module
 */
import type { DevicePort } from "./port.js";

/** A device's port and its tie to a container; made by a container's `attach`. */
export interface Attachment {
  /** The device's PCI address (`0000:01:00.0`), a mediated device's UUID, or the path of a vfio-user device's socket. */
  readonly address: string;
  /** Where the device is asked. It belongs to the {@link Device} made from this. */
  readonly port: DevicePort;
  /**
   * The door it was opened through: a group (`/dev/vfio/N`), its own character device bound to an iommufd, or the socket of a
   * process that emulates it (vfio-user).
   */
  readonly door: "group" | "cdev" | "socket";
  /** For a cdev: the device's id in its iommufd, which a hot reset's list uses. */
  readonly iommufdId: number | undefined;
  /** For a cdev: the id of the page table that it is attached to. */
  readonly pageTableId: number | undefined;
  /** For a group: its number. */
  readonly group: number | undefined;
  /** For a group: the descriptors (borrowed) of every group in the same container by number, as a hot reset wants them. */
  groupFds(): ReadonlyMap<number, number>;
  /**
   * Says whether something under way in the container needs the device open.
   *
   * @throws VfioError `EBUSY` if so
   */
  refuseClose?(): void;
  /** Undoes the tie, in the right order, before the device's port is closed. Called once. */
  beforeClose(): void;
  /** Undoes what must wait until the device's port is closed. Called once. */
  afterClose(): void;
}
