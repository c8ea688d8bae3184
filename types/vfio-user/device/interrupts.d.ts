/**
 * The interrupts of a device that is written here: raised by the device, delivered through eventfds that the client gave.
 *
 * @module
 */
/** What a client asks of one kind of interrupt. */
export interface InterruptKind {
    /** `VFIO_IRQ_INFO_*` */
    readonly flags: number;
    readonly count: number;
}
/** INTx: the device's line. It is raised by level: it stays until the device lowers it. */
export declare class IntxSource implements InterruptKind {
    #private;
    readonly flags: number;
    readonly count: number;
    /** Whether the device raises the line, heard or not. */
    get asserted(): boolean;
    /** Whether the client listens to it. */
    get enabled(): boolean;
    /** Raises the line. Does nothing through a {@link DeviceClient} that is gone. */
    assert(): void;
    /** Lowers the line. Does nothing through a {@link DeviceClient} that is gone. */
    deassert(): void;
}
/** MSI or MSI-X: vectors, each a message of its own. */
export declare class MessageSource implements InterruptKind {
    #private;
    readonly flags = 1;
    /** How many vectors the device has. */
    readonly count: number;
    /** Whether the client listens to any of the vectors. */
    get enabled(): boolean;
    /** The vectors that were raised while nobody listened to them. */
    get pending(): ReadonlySet<number>;
    /**
     * Raises a vector.
     *
     * @returns whether it was delivered. If not, MSI-X keeps it until the client listens to the vector, and MSI loses it. Without
     *   a client both lose it
     * @throws RangeError if the device has no such vector
     */
    trigger(vector?: number): boolean;
}
/** A notification: of an error of the device, or of the wish to have the device back. */
export declare class NoticeSource implements InterruptKind {
    #private;
    readonly flags = 1;
    readonly count = 1;
    /** Whether the client listens. */
    get enabled(): boolean;
    /**
     * Tells the client.
     *
     * @returns whether it listens
     */
    signal(): boolean;
}
