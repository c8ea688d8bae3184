/** What to wait for: 1 and 2, and their sum for either. */
export declare const READABLE = 1;
/** See {@link READABLE}. */
export declare const WRITABLE = 2;
/**
 * Waits on one descriptor, which it borrows. It is closed before the descriptor is: a number that is closed and used again
 * would silently be watched as another file.
 *
 * The event loop stays alive while somebody waits or listens, unless {@link setReferenced} says otherwise.
 */
export declare class Readiness implements Disposable {
    #private;
    /**
     * @param fd anything that `poll` takes: a socket, an eventfd, a pidfd. It becomes non-blocking at the first wait (the event
     *   loop sees to that), for everybody who shares the open file
     * @param label for messages
     */
    constructor(fd: number, label: string);
    /**
     * Resolves when one of the events is there. An error and a hang-up count as every event: the next call on the descriptor
     * says what it is. Rejects with the signal's reason, or when this is closed.
     */
    wait(events: number, signal?: AbortSignal): Promise<void>;
    /**
     * Calls back as long as the descriptor is readable: whoever listens reads all there is. One listener at a time; `undefined`
     * ends it.
     */
    listen(listener: (() => void) | undefined): void;
    /** Whether the event loop stays alive while somebody waits or listens. The default is that it does. */
    setReferenced(referenced: boolean): void;
    /** Ends every wait with `ERR_INVALID_STATE`. A second call does nothing. */
    close(): void;
    [Symbol.dispose](): void;
}
