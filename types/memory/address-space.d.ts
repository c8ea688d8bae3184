/**
 * Memory that changes over time: what stands at which addresses, and who wants to know.
 *
 * A virtual machine's memory comes and goes in sections (RAM is plugged, a BAR is moved, a window is closed), and every
 * container with a device of that machine has to map what is there. The address space is the one place that knows; whoever
 * mirrors it listens. The same list is what a live update hands to the successor, which replays it.
 *
 * ```text
 *   add(a) remove(b) add(c)          begin()  remove(b)  add(a)  add(c)  commit()
 *   \____ transaction ____/   ==>    \__ the net change, to each listener __/
 * ```
 *
 * Sections are delivered exactly as they were added, never merged or split, because what is mapped in one piece can only be
 * unmapped in that piece.
 *
 * @module
 */
import { VfioError } from "../base/errors.js";
/** What {@link AddressSpace.add} makes a section from. */
export interface SectionInit<M> {
    /** The first address, as the guest and its devices see it. */
    readonly iova: number | bigint;
    /** The length in bytes. */
    readonly length: number;
    /** What stands there; the address space only passes it on. */
    readonly memory: M;
    /** Whether devices may read it; true by default. */
    readonly readable?: boolean;
    /** Whether devices may write it; true by default. */
    readonly writable?: boolean;
}
/**
 * A piece of an address space. It is an object with an identity: it never changes, and removing it takes the object
 * itself, not an equal one.
 */
export interface Section<M> {
    /** The first address. */
    readonly iova: bigint;
    /** The length in bytes. */
    readonly length: number;
    /** What stands there. */
    readonly memory: M;
    /** Whether devices may read it. */
    readonly readable: boolean;
    /** Whether devices may write it. */
    readonly writable: boolean;
}
/**
 * Whoever mirrors an address space. The calls come in brackets: `begin`, then any `remove`s from the highest address down,
 * then any `add`s from the lowest up, then `commit`. With several listeners, each of these four phases is complete for all
 * of them before the next one begins.
 *
 * Any call may throw to refuse the whole change. A call that threw must have left nothing behind, as if it had not been
 * made; for `commit` that is the whole bracket. Everything else is then undone by the opposite calls in reverse order, and
 * each bracket that is still open is closed by `commit`; a listener whose `commit` was through gets a bracket of its own.
 */
export interface AddressSpaceListener<M> {
    /** A change begins: from here to `commit` the listener may gather work. */
    begin?(): void;
    /** A section is there now. It overlaps none that the listener knows. */
    add(section: Section<M>): void;
    /** A section that the listener knows is there no more. */
    remove(section: Section<M>): void;
    /** The change is complete: gathered work must be done now. */
    commit?(): void;
}
/** A call to a listener that failed while a change was being undone. */
export interface UndoFailure<M> {
    /** Which call. */
    readonly step: "begin" | "add" | "remove" | "commit";
    /** The section it was about; `begin` and `commit` are about none. */
    readonly section: Section<M> | undefined;
    /** What it threw. */
    readonly error: unknown;
}
/**
 * A listener refused a change of an address space, which is as it was before. `code`, `errno` and the call are those of the
 * listener's own {@link VfioError} (`ECANCELED` if it threw something else), which is the `cause`.
 */
export declare class SectionError<M> extends VfioError {
    /** The section that was refused; `undefined` if a listener's `begin` or `commit` threw. */
    readonly section: Section<M> | undefined;
    /**
     * What could not be undone, empty if all is well. A section in here is missing from its listener although it is in the
     * address space (an `add`), or the other way round (a `remove`). Where it is a `begin` or a `commit`, the listener may
     * still have the whole change that the others have undone.
     */
    readonly undoFailures: readonly UndoFailure<M>[];
}
/** A listener's tie to an address space. */
export interface Subscription extends Disposable {
    /**
     * Takes every section away from the listener, from the highest address down, and ends the subscription. Does nothing
     * when it has ended already.
     *
     * @throws {@link SectionError} if the listener refuses; it then has all its sections back and stays attached
     */
    detach(): void;
}
/**
 * Sections of memory that do not overlap, changed in transactions and mirrored by listeners.
 *
 * While listeners are called, the address space can be read, as it will be, but not changed.
 */
export declare class AddressSpace<M> implements Iterable<Section<M>> {
    #private;
    /** How many sections there are. */
    get size(): number;
    /** The sections in the order of their addresses, as they are when the iteration begins. */
    [Symbol.iterator](): IterableIterator<Section<M>>;
    /** The section that an address lies in. */
    at(iova: number | bigint): Section<M> | undefined;
    /**
     * Adds a section. Outside of a transaction this is a transaction of its own.
     *
     * @returns the section, by which it is removed
     * @throws VfioError `EEXIST` if it overlaps a section, with the range of that one
     * @throws {@link SectionError} if it is a transaction of its own and a listener refuses it
     * @throws TypeError, RangeError if its range is none
     */
    add(init: SectionInit<M>): Section<M>;
    /**
     * Removes a section. Outside of a transaction this is a transaction of its own.
     *
     * @throws VfioError `ENOENT` if it is not there: removed already, or of another address space
     * @throws {@link SectionError} if it is a transaction of its own and a listener refuses it
     */
    remove(section: Section<M>): void;
    /**
     * Makes several changes one. Listeners hear of the net change once, when `change` has returned: a section that was added
     * and removed within never reaches them. If `change` throws, or a listener refuses, nothing has changed.
     *
     * Transactions nest: an inner one that throws takes back its own changes, and listeners hear of all when the outermost
     * one ends.
     *
     * @param change what calls {@link add} and {@link remove}; synchronous, as a transaction cannot stay open
     * @returns what `change` returns
     * @throws {@link SectionError} if a listener refuses; what `change` throws
     */
    transaction<T>(change: () => T): T;
    /**
     * Attaches a listener, which first gets every section that is there, in the order of addresses, as one change.
     *
     * @returns its subscription; disposing that detaches the listener
     * @throws {@link SectionError} if the listener refuses; it is not attached then and has no sections
     * @throws Error `ERR_INVALID_STATE` within a transaction or a listener's call, and for a listener that is attached
     */
    attachListener(listener: AddressSpaceListener<M>): Subscription;
}
