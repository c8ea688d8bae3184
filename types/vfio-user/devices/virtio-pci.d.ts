import { PciDevice } from "../pci-device.js";
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
export declare const VIRTIO_F_INDIRECT_DESC: bigint;
/** Makes a virtio device. Its queues are worked at one request after the other. */
export declare function virtioPciDevice(kind: VirtioDevice): PciDevice;
