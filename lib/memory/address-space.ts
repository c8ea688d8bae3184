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

import { constants } from "node:os";
import {
  anything,
  checkBoolean,
  checkFunction,
  checkObject,
  checkRequired,
  checkU64,
  knownOptions,
} from "../base/arguments.js";
import { argTypeError, invalidStateError, messageOf, VfioError } from "../base/errors.js";
import { counted, showAs } from "../base/inspect.js";
import { lastIova, showRange, toIova, toLength } from "./iova-range.js";
import { MappingTable, rangeOf } from "./mapping-table.js";

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
export class SectionError<M> extends VfioError {
  /** The section that was refused; `undefined` if a listener's `begin` or `commit` threw. */
  readonly section: Section<M> | undefined;
  /**
   * What could not be undone, empty if all is well. A section in here is missing from its listener although it is in the
   * address space (an `add`), or the other way round (a `remove`). Where it is a `begin` or a `commit`, the listener may
   * still have the whole change that the others have undone.
   */
  readonly undoFailures: readonly UndoFailure<M>[];

  /** @internal */
  constructor(
    step: UndoFailure<M>["step"],
    section: Section<M> | undefined,
    cause: unknown,
    failures: UndoFailure<M>[],
  ) {
    const known = cause instanceof VfioError ? cause : undefined;
    const what = section === undefined ? "the change" : `to ${step} the section ${showRange(rangeOf(section))}`;
    const undone = failures.length === 0 ? "it was undone" : `${failures.length} of its steps could not be undone`;
    super({
      errno: known?.errno ?? constants.errno.ECANCELED,
      syscall: known?.syscall ?? step,
      ...(known?.request === undefined ? {} : { request: known.request }),
      args: known?.args ?? (section === undefined ? {} : { iova: section.iova, length: section.length }),
      ...(known?.object === undefined ? {} : { object: known.object }),
      why: `a listener refused ${what}, ${undone}: ${known?.why ?? messageOf(cause)}`,
      ...(known?.fix === undefined ? {} : { fix: known.fix }),
      cause,
    });
    this.name = "SectionError";
    this.section = section;
    this.undoFailures = failures;
  }
}

/** A change within a transaction, to take it back if the transaction fails. */
interface Change<M> {
  readonly section: Section<M>;
  readonly step: "add" | "remove";
  /** The section removed had been added in the same transaction: listeners hear of neither. */
  readonly cancels: boolean;
}

/** A listener, and what it knows: after an undoing that failed this is not always what is there. */
class Mirror<M> {
  readonly listener: AddressSpaceListener<M>;
  readonly known = new Set<Section<M>>();
  /** Whether it is between `begin` and `commit`. */
  open = false;
  readonly #told: { readonly step: "add" | "remove"; readonly section: Section<M> }[] = [];

  constructor(listener: AddressSpaceListener<M>) {
    this.listener = listener;
  }

  begin(): void {
    this.listener.begin?.();
    this.open = true;
  }

  tell(step: "add" | "remove", section: Section<M>): void {
    if (step === "add") {
      this.listener.add(section);
      this.known.add(section);
    } else {
      this.listener.remove(section);
      this.known.delete(section);
    }
    this.#told.push({ step, section });
  }

  commit(): void {
    this.open = false;
    const told = this.#told.splice(0);
    try {
      this.listener.commit?.();
    } catch (error) {
      for (const { step, section } of told.reverse()) {
        if (step === "add") this.known.delete(section);
        else this.known.add(section);
      }
      throw error;
    }
  }
}

/** A call that a listener has taken, to undo it if a later one is refused. */
interface Delivery<M> {
  readonly mirror: Mirror<M>;
  readonly step: "add" | "remove";
  readonly section: Section<M>;
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

function inOrder<M>(sections: Iterable<Section<M>>): Section<M>[] {
  return [...sections].sort((a, b) => (a.iova < b.iova ? -1 : 1));
}

const sectionInit = knownOptions<SectionInit<unknown>>({
  iova: checkU64,
  length: checkU64,
  memory: anything,
  readable: checkBoolean,
  writable: checkBoolean,
});

function checkListener(listener: AddressSpaceListener<never>): void {
  checkObject("listener", listener);
  checkFunction("listener.add", listener.add);
  checkFunction("listener.remove", listener.remove);
}

/**
 * Sections of memory that do not overlap, changed in transactions and mirrored by listeners.
 *
 * While listeners are called, the address space can be read, as it will be, but not changed.
 */
export class AddressSpace<M> implements Iterable<Section<M>> {
  readonly #sections = new MappingTable<Section<M>>();
  readonly #mirrors: Mirror<M>[] = [];
  // What the open transactions have changed, in order, and what that comes to.
  readonly #changes: Change<M>[] = [];
  readonly #added = new Set<Section<M>>();
  readonly #removed = new Set<Section<M>>();
  #depth = 0;
  #delivering = false;

  /** How many sections there are. */
  get size(): number {
    return this.#sections.size;
  }

  /** The sections in the order of their addresses, as they are when the iteration begins. */
  [Symbol.iterator](): IterableIterator<Section<M>> {
    return this.#sections[Symbol.iterator]();
  }

  /** The section that an address lies in. */
  at(iova: number | bigint): Section<M> | undefined {
    return this.#sections.at(iova);
  }

  /**
   * Adds a section. Outside of a transaction this is a transaction of its own.
   *
   * @returns the section, by which it is removed
   * @throws VfioError `EEXIST` if it overlaps a section, with the range of that one
   * @throws {@link SectionError} if it is a transaction of its own and a listener refuses it
   * @throws TypeError, RangeError if its range is none
   */
  add(init: SectionInit<M>): Section<M> {
    checkRequired("init", init, sectionInit, "iova", "length");
    const iova = toIova("iova", init.iova);
    const length = toLength("length", init.length);
    lastIova(iova, length);
    if (typeof length !== "number") throw argTypeError("length", "a number", init.length);
    const { memory, readable = true, writable = true } = init;
    return this.transaction(() => {
      const overlapped = this.#sections.firstOverlap(iova, length);
      if (overlapped !== undefined) {
        throw new VfioError({
          errno: constants.errno.EEXIST,
          syscall: "add",
          args: { iova, length },
          why: `it overlaps the section ${showRange(rangeOf(overlapped))}`,
          fix: "remove that one first; both can be done in one transaction",
        });
      }
      const section: Section<M> = Object.freeze({ iova, length, memory, readable, writable });
      this.#apply({ section, step: "add", cancels: false });
      return section;
    });
  }

  /**
   * Removes a section. Outside of a transaction this is a transaction of its own.
   *
   * @throws VfioError `ENOENT` if it is not there: removed already, or of another address space
   * @throws {@link SectionError} if it is a transaction of its own and a listener refuses it
   */
  remove(section: Section<M>): void {
    checkObject("section", section);
    this.transaction(() => {
      if (this.#sections.at(section.iova) !== section) {
        throw new VfioError({
          errno: constants.errno.ENOENT,
          syscall: "remove",
          args: { iova: section.iova, length: section.length },
          why: "this section is not in the address space: it was removed already, or belongs to another one",
        });
      }
      this.#apply({ section, step: "remove", cancels: this.#added.has(section) });
    });
  }

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
  transaction<T>(change: () => T): T {
    checkFunction("change", change);
    this.#refuseWhileDelivering();
    const mark = this.#changes.length;
    this.#depth++;
    try {
      const result = change();
      if (result instanceof Promise) throw argTypeError("change", "a synchronous function", change);
      if (this.#depth === 1) {
        this.#deliver(this.#mirrors, inOrder(this.#removed).reverse(), inOrder(this.#added));
      }
      return result;
    } catch (error) {
      this.#revert(mark);
      throw error;
    } finally {
      this.#depth--;
      if (this.#depth === 0) {
        this.#changes.length = 0;
        this.#added.clear();
        this.#removed.clear();
      }
    }
  }

  /**
   * Attaches a listener, which first gets every section that is there, in the order of addresses, as one change.
   *
   * @returns its subscription; disposing that detaches the listener
   * @throws {@link SectionError} if the listener refuses; it is not attached then and has no sections
   * @throws Error `ERR_INVALID_STATE` within a transaction or a listener's call, and for a listener that is attached
   */
  attachListener(listener: AddressSpaceListener<M>): Subscription {
    checkListener(listener);
    this.#refuseInTransaction();
    if (this.#mirrors.some((mirror) => mirror.listener === listener)) {
      throw invalidStateError("this listener is attached to the address space already");
    }
    const mirror = new Mirror(listener);
    this.#deliver([mirror], [], [...this.#sections]);
    this.#mirrors.push(mirror);
    const detach = () => {
      if (!this.#mirrors.includes(mirror)) return;
      this.#refuseInTransaction();
      this.#deliver([mirror], inOrder(mirror.known).reverse(), []);
      this.#mirrors.splice(this.#mirrors.indexOf(mirror), 1);
    };
    return { detach, [Symbol.dispose]: detach };
  }

  #apply(change: Change<M>): void {
    const { section, step, cancels } = change;
    if (step === "add") {
      this.#sections.insert(section);
      this.#added.add(section);
    } else {
      this.#sections.remove(section);
      if (cancels) this.#added.delete(section);
      else this.#removed.add(section);
    }
    this.#changes.push(change);
  }

  /** Takes the changes from `mark` on back, the last one first. */
  #revert(mark: number): void {
    for (const { section, step, cancels } of this.#changes.splice(mark).reverse()) {
      if (step === "add") {
        this.#sections.remove(section);
        this.#added.delete(section);
      } else {
        this.#sections.insert(section);
        if (cancels) this.#added.add(section);
        else this.#removed.delete(section);
      }
    }
  }

  /** Tells listeners of a change, all of it or, if one refuses, in the end nothing. */
  #deliver(mirrors: readonly Mirror<M>[], removed: readonly Section<M>[], added: readonly Section<M>[]): void {
    if (removed.length === 0 && added.length === 0) return;
    const done: Delivery<M>[] = [];
    let step: UndoFailure<M>["step"] = "begin";
    let current: Section<M> | undefined;
    let refusing: Mirror<M> | undefined;
    this.#delivering = true;
    try {
      for (const mirror of mirrors) mirror.begin();
      step = "remove";
      for (const section of removed) {
        current = section;
        for (const mirror of mirrors) {
          if (!mirror.known.has(section)) continue;
          mirror.tell("remove", section);
          done.push({ mirror, step: "remove", section });
        }
      }
      step = "add";
      for (const section of added) {
        current = section;
        for (const mirror of mirrors) {
          mirror.tell("add", section);
          done.push({ mirror, step: "add", section });
        }
      }
      step = "commit";
      current = undefined;
      for (const mirror of mirrors) {
        refusing = mirror;
        mirror.commit();
      }
    } catch (error) {
      const undo = done.reverse().filter(({ mirror }) => mirror !== refusing);
      throw new SectionError(step, current, error, this.#undo(mirrors, undo));
    } finally {
      this.#delivering = false;
    }
  }

  /** Makes the opposite calls, all of them whatever fails. */
  #undo(mirrors: readonly Mirror<M>[], deliveries: readonly Delivery<M>[]): UndoFailure<M>[] {
    const failures: UndoFailure<M>[] = [];
    const stuck = new Set<Mirror<M>>();
    const attempt = (step: UndoFailure<M>["step"], section: Section<M> | undefined, call: () => void): boolean => {
      try {
        call();
        return true;
      } catch (error) {
        failures.push({ step, section, error });
        return false;
      }
    };
    for (const { mirror, step, section } of deliveries) {
      if (stuck.has(mirror)) continue;
      if (!mirror.open && !attempt("begin", undefined, () => mirror.begin())) {
        stuck.add(mirror);
        continue;
      }
      const opposite = step === "add" ? "remove" : "add";
      attempt(opposite, section, () => mirror.tell(opposite, section));
    }
    for (const mirror of mirrors) {
      if (mirror.open) attempt("commit", undefined, () => mirror.commit());
    }
    return failures;
  }

  #refuseWhileDelivering(): void {
    if (this.#delivering) throw invalidStateError("a listener may not change the address space that it listens to");
  }

  #refuseInTransaction(): void {
    this.#refuseWhileDelivering();
    if (this.#depth > 0) throw invalidStateError("listeners cannot be attached or detached within a transaction");
  }
}

showAs(AddressSpace, (space) => counted(space.size, "section"));
