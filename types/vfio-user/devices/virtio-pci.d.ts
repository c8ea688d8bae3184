import { PciDevice } from "../device/pci-device.js";
import { type QueueRequest } from "./virtio-queue.js";
/** What a kind of virtio device adds. */
export interface VirtioDevice {
    readonly name: string;
    /** The kind: 1 network, 2 block, 4 entropy, ... */
    readonly type: number;
    readonly classCode: number;
    /** What it can do besides being of version 1: feature bits of the kind, and VIRTIO_F_INDIRECT_DESC. */
    readonly features: bigint;
    /** The registers of the kind, which the driver reads. */
    readonly config: Uint8Array;
    readonly queues: number;
    readonly queueSize?: number;
    /**
     * Does what a request asks for.
     *
     * @param features what the driver agreed to
     * @returns how many bytes of the request's memory were written
     */
    request(queue: number, request: QueueRequest, features: bigint): Promise<number>;
}
/** The driver may put a table of descriptors into the place of one: the queue here takes them. */
export declare const VIRTIO_F_INDIRECT_DESC: bigint;
/**
 * Makes a virtio device. The requests of a queue are worked at one after the other, those of several queues side by side.
 *
 * What `request` throws stops the device until the driver resets it. A {@link DriverError}, and what `device.dma` throws, is the
 * driver's fault; anything else is told as a fault of the program.
 */
export declare function virtioPciDevice(kind: VirtioDevice): PciDevice;
