/**
 * The client's memory, as a device sees it: ranges of IOVAs that come and go.
 *
 * @module
 */
/** A range of the client's memory that the device may use. */
export interface ClientRange {
    readonly iova: bigint;
    readonly length: bigint;
    readonly readable: boolean;
    readonly writable: boolean;
}
/**
 * The memory that the client has given to the device: an {@link PciDevice.dma}. All addresses are IOVAs.
 *
 * Memory that came with a descriptor is used directly, as far as the client can do no harm with it; the rest is read and written
 * by messages to the client. Either way an
 * access is checked against the ranges and their permissions. What the client takes back is out of reach when it hears that
 * the device has let go of it.
 */
export declare class ClientMemory {
    #private;
    /** The ranges that the client has given, by IOVA. A snapshot. */
    get ranges(): readonly ClientRange[];
    /**
     * Reads a part of the memory.
     *
     * @param length in bytes
     * @throws VfioError EFAULT where nothing is mapped, EPERM where the client allows no reading; ECANCELED if the client took it
     *   back meanwhile; ENOTCONN, ECONNRESET without a client, or when it is gone; ETIMEDOUT, or the client's own errno, for memory that is reached
     *   by messages
     */
    read(iova: number | bigint, length: number): Promise<Uint8Array>;
    /** Reads a part of the memory into `into`. Throws as {@link read}. */
    readInto(iova: number | bigint, into: Uint8Array): Promise<void>;
    /** Writes into the memory. Throws as {@link read}, with EPERM where the client allows no writing. */
    write(iova: number | bigint, bytes: Uint8Array): Promise<void>;
    /**
     * The memory itself, for a part that lies in one range and is mapped (see `trustClients` of the server); undefined
     * otherwise, and then {@link read} and {@link write} still reach it.
     *
     * When the client takes the memory back, or is gone, the view becomes empty. Tell {@link markDirty} what you write through it.
     * Writes into memory that may only be read stay in this process.
     */
    view(iova: number | bigint, length: number): Uint8Array | undefined;
    /** Says that a part was written through a {@link view}, for a migration's log. {@link write} says so by itself. */
    markDirty(iova: number | bigint, length: number): void;
}
