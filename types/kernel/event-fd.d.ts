import { OwnedFd } from "./fd.js";
/** Whether a descriptor of this process is an eventfd. It must be open. */
export declare function isEventFd(fd: number): boolean;
/**
 * The kernel's number of an eventfd, which all descriptors of it share, in every process.
 *
 * @returns undefined if the descriptor is no eventfd
 */
export declare function eventFdId(fd: number): string | undefined;
/**
 * An eventfd with one owner. What signals it (the kernel, another process) has a descriptor or a reference of its own, and what
 * it signals after {@link close} is lost.
 */
export declare class EventFd extends OwnedFd {
    #private;
    /**
     * @param fd belongs to this object from here on
     * @param object what it signals, for messages: `msix 3 of 0000:01:00.0`
     */
    private constructor();
    /**
     * A new eventfd, with a count of 0: close-on-exec and non-blocking.
     *
     * @param object what it signals, for messages
     * @throws VfioError `EMFILE`, `ENFILE`, `ENOMEM`
     */
    static make(object: string): EventFd;
    /**
     * Takes an eventfd from elsewhere: it becomes close-on-exec and belongs to the object.
     *
     * @throws VfioError `EBADF`, or `EINVAL` if the descriptor is something else. It is still the caller's then
     */
    static adopt(fd: number, object: string): EventFd;
    /**
     * A descriptor of its own for an eventfd that belongs to somebody else.
     *
     * @param fd borrowed, and needed only during the call. Whether it is an eventfd is left to the kernel, where it is used
     * @throws VfioError `EBADF` if it is closed, `EMFILE`
     */
    static duplicateOf(fd: number, object: string): EventFd;
    duplicate(): EventFd;
    /** The kernel's number of it, the same for every descriptor of it in every process. Undefined before Linux 5.2. */
    get id(): string | undefined;
    /** Whether its count is not 0. Leaves the count as it is. */
    get pending(): boolean;
    /**
     * Adds to the count.
     *
     * @param count from 1 to 2^64 - 2
     * @throws VfioError `EAGAIN` if the count would be too large; it is as it was then
     */
    signal(count?: number | bigint): void;
    /**
     * Takes the count, without waiting, also from an eventfd that was made a blocking one.
     *
     * @returns the count, which is 0 again then; 0 if nothing has signalled it
     * @throws VfioError
     */
    take(): number;
    /**
     * Blocks this thread until something signals it, and takes the count. For a worker: on the main thread nothing else happens
     * meanwhile.
     *
     * @param timeout in milliseconds; at most 2^31 - 1
     * @returns the count; 0 if the timeout, a signal of the process or another reader came first
     */
    wait(timeout: number): number;
}
