/**
 * A memfd with an `ArrayBuffer` over it. It is sealed against every change of its length: a client that cut it would end
 * whoever touches it.
 */
export declare class SharedMemory {
    #private;
    readonly bytes: Uint8Array;
    /** @throws VfioError */
    constructor(name: string, length: number);
    /** The memfd, borrowed. */
    get fd(): number;
    /** Empties every view of it and gives it back. A second call does nothing. */
    close(): void;
}
