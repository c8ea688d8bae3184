/** How much memory this process may pin and lock, and how much it does. In bytes. */
export interface LockedMemory {
    /** The soft limit (`ulimit -l`), or `Infinity`. The host's root, or rather CAP_IPC_LOCK, is not bound by it. */
    readonly limit: number;
    /**
     * Whether the limit binds this process: it does not have CAP_IPC_LOCK, or has it in a user namespace of its own (as root of a
     * rootless container), where it does not count.
     */
    readonly binding: boolean;
    /** Locked: `mlock`, and what type1 containers and iommufds in `mm` accounting have pinned (`VmLck`). */
    readonly locked: number;
    /**
     * Pinned for devices (`VmPin`): iommufd and io_uring count here. With CAP_IPC_LOCK iommufd does not move the count when memory
     * changes hands: it stays with the old process, and the new one has too little, but at least 0.
     */
    readonly pinned: number;
}
/** Reads the limit and what is used of it, from `/proc/self`. */
export declare function lockedMemory(): LockedMemory;
