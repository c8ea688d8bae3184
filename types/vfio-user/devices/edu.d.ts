/**
 * QEMU's teaching device (`-device edu`; docs/specs/edu in QEMU's sources), in TypeScript: the same registers, DMA and
 * interrupts, so that one driver works both.
 *
 * @module
 */
import { PciDevice } from "../device/pci-device.js";
/** What an edu device can be told. */
export interface EduDeviceOptions {
    /** The highest address that its DMA drives. Default 28 bits, as QEMU's. */
    readonly dmaMask?: bigint;
    /** How long a transfer takes, in milliseconds. Default 100, as QEMU's. */
    readonly dmaDelay?: number;
}
/** Makes an edu device: 1234:11e8, with one BAR of registers, INTx and one vector of MSI. */
export declare function eduDevice(options?: EduDeviceOptions): PciDevice;
