/**
 * Descriptors that the package owns: closed once, never retried, and reported (not closed) when forgotten.
 *
 * @module
 */
/** A file descriptor with one owner. Close-on-exec, and closed with the thread that made it. */
export declare class OwnedFd implements Disposable {
    #private;
    /** What the descriptor is, for messages: `/dev/vfio/12`, `eventfd (msix 3)`. */
    readonly label: string;
    /**
     * @param fd a descriptor that the addon made (or adopted): it belongs to this object from here on
     * @param label what it is, for messages
     */
    constructor(fd: number, label: string);
    /**
     * Takes a descriptor from elsewhere (another library, `stdio` of the parent process): it becomes close-on-exec and
     * belongs to the object.
     *
     * @throws VfioError EBADF
     */
    static adopt(fd: number, label: string): OwnedFd;
    /** The number, to borrow. */
    get number(): number;
    /** Whether it has been closed. */
    get closed(): boolean;
    /** A second descriptor of the same file, with an owner of its own. */
    duplicate(): OwnedFd;
    /**
     * Closes the descriptor. A second call does nothing. Linux gives the descriptor back even where `close` reports an
     * error, so an error is not thrown: there is nothing left to do about it.
     */
    close(): void;
    /** {@link close}, for `using`. */
    [Symbol.dispose](): void;
}
