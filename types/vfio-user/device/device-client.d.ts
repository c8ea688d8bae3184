import { ClientMemory } from "./dma.js";
import { IntxSource, MessageSource, NoticeSource } from "./interrupts.js";
/**
 * A client of a {@link PciDevice}: its memory, its interrupts, and a signal that aborts when it is gone.
 *
 * What a device does for a client belongs to that client. Work that goes on after its handler has returned takes
 * {@link PciDevice.client} once, at its beginning, and uses no other: when the client is gone, DMA is refused with ENOTCONN and no
 * interrupt is delivered, also while another client is connected.
 */
export declare class DeviceClient {
    #private;
    /** The client's memory. */
    readonly dma: ClientMemory;
    readonly intx: IntxSource;
    readonly msi: MessageSource;
    readonly msix: MessageSource;
    /** Reports an error of the device to the client. */
    readonly err: NoticeSource;
    /** Asks the client to release the device. */
    readonly req: NoticeSource;
    /** Aborts when the client is gone: what the device does for it can end then. */
    get signal(): AbortSignal;
    /** Whether the client is connected: false before it has introduced itself, and after it is gone. */
    get connected(): boolean;
}
