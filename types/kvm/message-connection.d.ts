/**
 * MSI and MSI-X of a device as interrupts of a guest.
 *
 * ```text
 *                               +--> this process          masked, detached, or not connected
 *  device --> kernel --> eventfd
 *                               +--> irqfd --> GSI --> route --> vCPU
 * ```
 *
 * @module
 */
import type { Interrupt } from "../device/interrupt.js";
import { MessageInterrupts } from "../device/msi.js";
import type { OwnedFd } from "../kernel/fd.js";
import type { FrozenVector, GuestConnection, VmPart } from "./part.js";
import { type MsiMessage } from "./routing.js";
import { Vm } from "./vm.js";
/** A vector of the device, and what it is to the guest. */
export interface GuestVector {
    /** The vector's number; it must be on. */
    readonly index: number;
    /** What the guest has programmed. Left out, the vector goes to this process until {@link ConnectedVector.unmask}. */
    readonly message?: MsiMessage;
    /** Whether the guest has masked it. Default false. */
    readonly masked?: boolean;
}
/** How a connection is made. */
export interface MessageConnectionOptions {
    /**
     * What happens when the guest masks a vector:
     *
     * - `irqfd`, the default: KVM lets go of the vector's eventfd, which this process can read then. Nothing is ever lost.
     * - `eventfd`, MSI-X only, as QEMU does it: the kernel signals another eventfd, and the guest's stays KVM's. This process may
     *   listen to the vector at any time. A message that is on its way when the guest masks or unmasks can be lost.
     */
    readonly masking?: "irqfd" | "eventfd";
}
/** A vector as a former process has left it. */
export interface RetrievedVector extends FrozenVector {
    /** The second eventfd of masking by eventfd. Belongs to the connection. */
    readonly guest: OwnedFd | undefined;
}
/** One vector of a {@link MessageConnection}. */
export declare class ConnectedVector {
    #private;
    /** The device's vector. What this process hears of it (while it is masked or has no message) comes there. */
    readonly interrupt: Interrupt;
    /** The vector's number. */
    get index(): number;
    /** The GSI that stands for it, while it has a message. */
    get gsi(): number | undefined;
    /** What the guest has programmed. */
    get message(): MsiMessage | undefined;
    /** Whether the guest has masked it. */
    get masked(): boolean;
    /** Whether the kernel's signals reach the guest now, with nothing of this process in between. */
    get delivered(): boolean;
    /**
     * Whether it has come while it was masked, and nobody here has taken it: the bit that the guest finds in the pending bit
     * array.
     */
    get pending(): boolean;
    /** The eventfd that the guest's interrupt hangs on, borrowed. */
    get eventfd(): number;
    /** The guest has masked it: from here on it goes to this process, as {@link pending}. */
    mask(): void;
    /**
     * The guest has unmasked it. If it is pending, it is raised now.
     *
     * @param message what the guest has programmed meanwhile, if it has
     */
    unmask(message?: MsiMessage): void;
}
/**
 * Vectors of a device that go to a guest. Made by {@link connectMessages}; disposing it gives them back to this process, with
 * everything that has come and the guest has not got.
 *
 * {@link detach} takes them from KVM and lets them count, {@link attach} brings them back, in the same machine or in another:
 * what came meanwhile is raised then. The device does not notice.
 */
export declare class MessageConnection implements VmPart, GuestConnection, Disposable {
    #private;
    /** For messages: `msix of 0000:01:00.0`. */
    readonly label: string;
    /** The machine that it is, or was last, attached to. */
    get vm(): Vm;
    /** Whether KVM has it. */
    get attached(): boolean;
    /** Whether it has been closed. */
    get closed(): boolean;
    /** The vectors, by their numbers. */
    get vectors(): ReadonlyMap<number, ConnectedVector>;
    /**
     * A connected vector.
     *
     * @throws RangeError
     */
    vector(index: number): ConnectedVector;
    /**
     * Connects more vectors: all, or none. Their routes are put in force with one commit.
     *
     * @throws VfioError `EBUSY` if an eventfd hangs on another machine already; an error with `code` `ERR_INVALID_STATE` if a
     *   vector is off, or if somebody listens to it (unless masking is by `eventfd`)
     */
    add(vectors: Iterable<GuestVector>): void;
    /**
     * Says what the guest has programmed: all vectors with one commit. A vector that had no message goes to the guest from here
     * on, unless it is masked.
     */
    setMessages(messages: ReadonlyMap<number, MsiMessage>): void;
    /**
     * Takes every vector from KVM. When this returns, KVM raises nothing any more, and what the device raises is counted. If it
     * is detached, nothing is done.
     */
    detach(): void;
    /**
     * Gives the vectors back to KVM, which raises at once what has come meanwhile. What KVM has is left as it is.
     *
     * @param vm another machine to go to; left out, the one that it was in
     * @throws VfioError `EBUSY` if an eventfd hangs on another machine: it is then detached as before, and can be tried again
     */
    attach(vm?: Vm): void;
    /** Gives every vector back to this process: what has come, and the guest has not got, is there. A second call does nothing. */
    close(): void;
    /** {@link close}, for `using`. */
    [Symbol.dispose](): void;
}
/**
 * Wires vectors of MSI or MSI-X that are on straight into a guest.
 *
 * ```ts
 * device.msix.enable(2);
 * using connection = connectMessages(device.msix, vm, [
 *   { index: 0, message: { address: 0xfee00000, data: 0x41 } },
 *   { index: 1, message: { address: 0xfee00000, data: 0x42 }, masked: true },
 * ]);
 * connection.vector(1).unmask();
 * ```
 *
 * @param irq `device.msix` or `device.msi`. Switching it off ends delivery; the connection is still to be closed.
 * @param vm borrowed; closing it closes the connection first
 */
export declare function connectMessages(irq: MessageInterrupts, vm: Vm, vectors: Iterable<GuestVector>, options?: MessageConnectionOptions): MessageConnection;
