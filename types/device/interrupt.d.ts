/**
 * One interrupt: an eventfd that the kernel signals, and the ways to hear of it.
 *
 * @module
 */
/** How long to wait. */
export interface WaitOptions {
    /** In milliseconds. Left out: for ever. */
    readonly timeout?: number;
    /** Ends the wait: the promise rejects with the signal's reason. */
    readonly signal?: AbortSignal;
}
/**
 * An interrupt that is switched on.
 *
 * The kernel counts: what is delivered is how many came since the last delivery, so nothing is lost while nobody looks,
 * and a burst is one delivery. (The processor may have merged messages of one vector before: read the device's own state,
 * and do not take the count for a number of events.) There are three ways to hear of it:
 *
 * - `on("interrupt", (count) => ...)`, and {@link wait} or `for await`, on the event loop. It is watched only while
 *   there is a listener or somebody waits, and keeps the process (or worker) alive only then, unless {@link unref} says
 *   otherwise. All who listen or wait at that moment hear of the same interrupts.
 * - {@link waitSync}, which blocks the thread: for a worker that has nothing else to do, several times sooner.
 * - {@link take}, which does not wait at all: for a program that polls.
 *
 * The last two read the counter under the feet of the first, and so are refused while somebody listens or waits.
 */
export declare class Interrupt implements AsyncIterable<number>, Disposable {
    #private;
    /** Its number within its kind: the vector of MSI and MSI-X, 0 for the others. */
    readonly index: number;
    /** For messages: `msix 3 of 0000:01:00.0`. */
    readonly label: string;
    /** Whether it is switched off. */
    get closed(): boolean;
    /**
     * The eventfd's descriptor, borrowed: for KVM's irqfd, or another process. Let nobody listen or wait here meanwhile.
     */
    get eventfd(): number;
    /** Whether somebody here listens or waits, and so takes every count as it comes. */
    get watched(): boolean;
    /**
     * Lends the eventfd to something that reads it itself, as KVM's irqfd does. Until it is given back, nobody listens, waits
     * or takes here: each would steal counts from the borrower.
     *
     * @param borrower for the message to who tries
     * @returns gives it back; a second call does nothing
     * @throws an error with `code` `ERR_INVALID_STATE` if somebody listens or waits, if it is lent already, or if another process
     *   still owns the device
     */
    lend(borrower: string): () => void;
    /** Calls `listener` with the count of each delivery. */
    on(event: "interrupt", listener: (count: number) => void): this;
    /** Calls `listener` with the count of the next delivery. */
    once(event: "interrupt", listener: (count: number) => void): this;
    /** Takes a listener away. */
    off(event: "interrupt", listener: (count: number) => void): this;
    /** Keeps the event loop alive while somebody listens or waits. The default. */
    ref(): this;
    /** Lets the process end although somebody listens or waits. */
    unref(): this;
    /**
     * Waits for the next delivery.
     *
     * @returns its count; 0 if none came within the timeout
     * @throws the signal's reason; an error with `code` `ERR_INVALID_STATE` if it is switched off meanwhile
     */
    wait(options?: WaitOptions): Promise<number>;
    /** Goes through the deliveries, as {@link interrupts} without options. */
    [Symbol.asyncIterator](): AsyncIterableIterator<number>;
    /**
     * The counts of the deliveries, one after the other. It ends when the interrupt is switched off. While the loop's body
     * runs, the kernel goes on counting.
     *
     * @param options.signal ends it: the loop throws the signal's reason
     */
    interrupts(options?: Pick<WaitOptions, "signal">): AsyncIterableIterator<number>;
    /**
     * Blocks this thread until the next delivery. For a worker: on the main thread nothing else happens meanwhile.
     *
     * @param timeout in milliseconds; left out, for ever
     * @returns its count; 0 if none came within the timeout
     */
    waitSync(timeout?: number): number;
    /** How many came since the last delivery, without waiting: 0 for none. */
    take(): number;
    /**
     * Has the kernel signal the eventfd as if the device had raised the interrupt: to test a program, or to inject what
     * came meanwhile.
     *
     * @throws VfioError
     */
    trigger(): void;
    /**
     * Switches it off and closes its eventfd: who waits is told, loops end, listeners are gone. A second call does nothing.
     *
     * @throws VfioError where the kernel refuses; the eventfd is closed nevertheless. An error with `code` `ERR_INVALID_STATE` while
     *   the device is handed over; nothing is closed then
     */
    close(): void;
    /** {@link close}, for `using`. */
    [Symbol.dispose](): void;
    toString(): string;
}
