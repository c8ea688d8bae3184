import { type MigrationStateName } from "../protocol/constants.js";
/** How a device is stopped, saved, and restored elsewhere. All of it may take its time. */
export interface Migration {
    /** The device is to stand still: from when this is done, it neither does DMA nor raises interrupts. */
    stop?(): void | Promise<void>;
    /**
     * It runs again: the client says so, or has reset the device. A client that leaves a device standing still does not make it
     * run: it is reset, and then run, for the next client.
     */
    run?(): void | Promise<void>;
    /** All that {@link load} needs elsewhere. The device is stopped. */
    save(): Uint8Array | Promise<Uint8Array>;
    /**
     * What can be carried ahead while the device still runs, if there is such a thing: what comes from here goes to
     * {@link load} in front of what {@link save} gives.
     */
    saveRunning?(): Uint8Array | Promise<Uint8Array>;
    /**
     * Takes over what a device of the same kind has saved. What it throws leaves this device in an error, out of which only a
     * reset leads.
     */
    load(state: Uint8Array): void | Promise<void>;
    /** The longest state that is taken, in bytes. Default 64 MiB. */
    readonly maxSize?: number;
}
type State = MigrationStateName;
/**
 * The shortest way from a state to another, without a state of saving in between.
 *
 * @returns undefined where there is none
 */
export declare function migrationPath(from: State, to: State, preCopy: boolean): readonly State[] | undefined;
/** Where a device is in its migration. */
export declare class MigrationMachine {
    #private;
    constructor(migration: Migration | undefined);
    get state(): State;
    /** Whether only a reset makes the device one for a new client. */
    get needsReset(): boolean;
    /** `VFIO_MIGRATION_*`; 0 for a device that cannot migrate. */
    get flags(): number;
    /**
     * Goes to another state.
     *
     * @param signal aborts when the client is gone: the steps that were not begun are left out
     * @throws ProtocolError if there is no way; what the device throws leaves it where it was, or in `error`
     */
    change(number: number, signal: AbortSignal): Promise<void>;
    /** The next part of what is saved: fewer bytes than `size` at the end. @throws ProtocolError in a wrong state */
    read(size: number): Uint8Array;
    /** @throws ProtocolError in a wrong state; VfioError EFBIG */
    write(data: Uint8Array): void;
    /** The end of a reset, which leads out of every state. */
    reset(): Promise<void>;
    /** The client is gone, and with it the data. A device that stands still goes on to do so: it may run elsewhere by now. */
    leave(): void;
}
export {};
