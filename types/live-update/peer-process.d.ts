import type { OwnedFd } from "../kernel/fd.js";
import type { SocketWait } from "../kernel/unix-socket.js";
/** Another process, by a pidfd: no other process can take its place, as one can with a pid. */
export declare class PeerProcess implements Disposable {
    #private;
    private constructor();
    /** Takes the descriptor, or returns undefined, and leaves it alone, if it is no pidfd. */
    static of(pidfd: OwnedFd): PeerProcess | undefined;
    /**
     * Says whether the process is dead, of one that has closed something: either because it ended, or of its own will.
     *
     * A process closes its descriptors before it counts as dead, and closing those of devices can take a while. So an end that has
     * begun is waited for.
     *
     * @returns true once it is dead, false if it lives
     */
    died({ signal }: SocketWait): Promise<boolean>;
    close(): void;
    [Symbol.dispose](): void;
}
