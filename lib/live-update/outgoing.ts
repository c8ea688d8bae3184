/**
 * The old process's side of a live update.
 *
 * ```text
 *  prepare     manifest and descriptors travel; the devices and the program go on, and nothing is mapped or attached meanwhile
 *  stop        the program stops using the devices
 *  freeze      irqfds are deassigned and readers removed: interrupts are counted in their eventfds, which travel
 *  save        the program's own state
 *  invalidate  legacy containers: the kernel forgets where the memory is in this process
 *  transfer    the rest travels; the successor takes the memory over
 *  commit      the devices are the successor's: from here on this process only closes
 * ```
 *
 * A failure before the commit is rolled back, and this process goes on.
 *
 * @module
 */

import { constants } from "node:os";
import { checkMilliseconds, checkOptions, checkSignal, knownOptions, optionsOf } from "../base/arguments.js";
import { withDeadline } from "../base/deadline.js";
import { argTypeError, invalidStateError, messageOf, VfioError } from "../base/errors.js";
import { showAs } from "../base/inspect.js";
import type { Blocker } from "../base/preserve.js";
import { failuresOf } from "../base/run-all.js";
import type { Container } from "../container/container.js";
import type { Device } from "../device/device.js";
import { findBlockers } from "./blockers.js";
import type { OutgoingCarrier } from "./carrier.js";
import { checkOutgoing } from "./carrier.js";
import { type Description, describe, describeFrozen, type Frozen } from "./describe.js";
import { encodeFrozen } from "./manifest/frozen.js";
import { encodeManifest } from "./manifest/manifest.js";
import { type LiveUpdateOptions, Plan, type PlannedConnection } from "./plan.js";
import { endedBySignal, runStep } from "./program-step.js";
import { type LiveUpdateReport, Timeline } from "./timeline.js";

/** How long each wait may take, in milliseconds; `Infinity` for ever. */
export interface HandOverTimeouts {
  /** Until the successor is ready. Default 60,000. */
  readonly prepare?: number;
  /** Until it has taken the memory over; the devices' interrupts are held back meanwhile. Default 10,000. */
  readonly transfer?: number;
  /** After the commit, until the successor has sent its report. Default 10,000. */
  readonly acknowledge?: number;
}

/** How a hand-over is made. */
export interface HandOverOptions {
  /** Ends it at once, and rolls it back, as long as nothing is committed: also while the program's `stop` or `save` runs. */
  readonly signal?: AbortSignal;
  readonly timeouts?: HandOverTimeouts;
}

const timeouts = knownOptions<HandOverTimeouts>({
  prepare: checkMilliseconds,
  transfer: checkMilliseconds,
  acknowledge: checkMilliseconds,
});
const handOverOptions = knownOptions<HandOverOptions>({ signal: checkSignal, timeouts: optionsOf(timeouts) });

const LOCKED = "is being handed over to another process";

/** A hand-over that cannot be made now. Nothing was changed. */
export class LiveUpdateBlockedError extends VfioError {
  readonly blockers: readonly Blocker[];

  /** @internal */
  constructor(blockers: readonly Blocker[]) {
    super({
      errno: constants.errno.EBUSY,
      syscall: "live update",
      why: blockers.map(({ object, why }) => `${object}: ${why}`).join("; "),
      fix: blockers.map(({ fix }) => fix).join("; "),
    });
    this.name = "LiveUpdateBlockedError";
    this.blockers = blockers;
  }
}

/**
 * Hands devices over to a successor while they run: no reset, no unmap, no interrupt lost. One object makes one hand-over; after
 * one that failed it can be tried again.
 *
 * ```ts
 * const update = new LiveUpdate({ containers: { main: container }, memory: { ring }, save: () => driver.state() });
 * await update.handOver(carrier);
 * ```
 *
 * When it is done, everything of the plan (containers, devices, machines, memory) is closed here, and the devices work for the
 * successor, which has called {@link receiveLiveUpdate}.
 */
export class LiveUpdate {
  readonly #plan: Plan;
  #state: "idle" | "under way" | "over" = "idle";

  /** @throws RangeError if an object stands under two names */
  constructor(options: LiveUpdateOptions) {
    this.#plan = new Plan(options);
  }

  /**
   * The reasons why it cannot be handed over now, each with a fix; empty if there are none. Changes nothing.
   *
   * @param carrier asked too, if given
   */
  blockers(carrier?: OutgoingCarrier): readonly Blocker[] {
    if (carrier !== undefined) checkOutgoing("carrier", carrier);
    return findBlockers(this.#plan, carrier);
  }

  /**
   * Hands over.
   *
   * @param carrier used up: closed at the end, whatever comes
   * @returns what it took, when the successor works. (A carrier that replaces this process does not return.)
   * @throws {@link LiveUpdateBlockedError}; what the carrier or the kernel refused, the signal's reason or `ETIMEDOUT`, after
   *   everything was undone; an AggregateError if it could not be undone entirely (its first error is what failed). If `committed`
   *   is true afterwards, the hand-over was committed and the successor went away: everything is closed here, and the devices have
   *   no user.
   */
  async handOver(carrier: OutgoingCarrier, options: HandOverOptions = {}): Promise<LiveUpdateReport> {
    checkOutgoing("carrier", carrier);
    checkOptions("options", options, handOverOptions);
    const idle = this.#state === "idle";
    try {
      if (!idle) throw invalidStateError(`this live update is ${this.#state}`);
      options.signal?.throwIfAborted();
      const blockers = this.blockers(carrier);
      if (blockers.length > 0) throw new LiveUpdateBlockedError(blockers);
      this.#state = "under way";
      return await new Attempt(this.#plan, carrier, options, () => {
        this.#state = "over";
      }).run();
    } catch (error) {
      // After a roll-back the successor has the reason already, and this does nothing.
      carrier.abort(messageOf(error));
      throw error;
    } finally {
      if (idle && !this.committed) this.#state = "idle";
      carrier.close();
    }
  }

  /** Whether it is committed: everything of the plan is closed here, and belongs to the successor. */
  get committed(): boolean {
    return this.#state === "over";
  }
}

showAs(LiveUpdate, (update) => (update.committed ? "committed" : "not committed"));

/** One hand-over, with what it has done and may have to undo. */
class Attempt {
  readonly #plan: Plan;
  readonly #carrier: OutgoingCarrier;
  readonly #options: HandOverOptions;
  readonly #onCommit: () => void;
  readonly #containers: readonly Container[];
  readonly #timeline = new Timeline();
  #stopped = false;
  #frozenConnections: readonly PlannedConnection[] = [];
  #frozenDevices: readonly Device[] = [];
  readonly #invalidated: Container[] = [];

  constructor(plan: Plan, carrier: OutgoingCarrier, options: HandOverOptions, onCommit: () => void) {
    this.#plan = plan;
    this.#carrier = carrier;
    this.#options = options;
    this.#onCommit = onCommit;
    this.#containers = [...plan.containers.values()];
  }

  async run(): Promise<LiveUpdateReport> {
    let described: Description;
    try {
      described = await this.#prepare();
      await this.#freezeAndTransfer(described);
      this.#timeline.begin("commit");
      this.#carrier.commit();
    } catch (error) {
      throw this.#rollBack(error);
    }
    this.#onCommit();
    const failures = this.#close(described);
    const report = await this.#acknowledge();
    if (failures.length === 0) return report;
    throw new AggregateError(failures, "the successor works, and not everything could be closed here");
  }

  async #prepare(): Promise<Description> {
    this.#timeline.begin("prepare");
    for (const container of this.#containers) container.lock({ why: LOCKED, refuses: "structure" });
    const described = describe(this.#plan);
    for (const { handOver } of this.#containers) handOver.prepare();
    const parcel = { manifest: encodeManifest(described.manifest), descriptors: described.descriptors };
    await this.#wait("prepare", 60_000, "until the successor was ready", (wait) => this.#carrier.prepare(parcel, wait));
    return described;
  }

  async #freezeAndTransfer(described: Description): Promise<void> {
    const { stop, save } = this.#plan.options;
    this.#timeline.begin("stop");
    this.#stopped = true;
    if (stop !== undefined) await this.#run(stop);
    this.#timeline.begin("freeze");
    const frozen = this.#freeze();
    this.#timeline.begin("save");
    const state = save === undefined ? new Uint8Array(0) : await this.#run(save);
    if (!(state instanceof Uint8Array)) throw argTypeError("the result of save()", "a Uint8Array", state);
    this.#timeline.begin("invalidate");
    for (const container of this.#containers) {
      container.handOver.freeze();
      this.#invalidated.push(container);
    }
    this.#timeline.begin("transfer");
    const late = encodeFrozen(describeFrozen(frozen, described, state, this.#timeline.marks));
    await this.#wait("transfer", 10_000, "until the successor had taken the memory over", (wait) =>
      this.#carrier.transfer(late, wait),
    );
  }

  /** Runs a function of the program's. */
  #run<T>(run: (signal: AbortSignal) => T | Promise<T>): Promise<T> {
    const carrier = this.#carrier;
    return runStep(run, (wait) => carrier.ended?.(wait) ?? endedBySignal(wait), this.#options.signal);
  }

  /** Interrupts are counted from here on. KVM's hands first: what it has taken from an eventfd it has raised when it lets go. */
  #freeze(): readonly Frozen[] {
    for (const container of this.#containers) container.lock({ why: LOCKED, refuses: "signals" });
    // An object that fails to freeze is thawed with the rest.
    this.#frozenConnections = this.#plan.connections;
    const frozen = this.#frozenConnections.map((each) => ({ ...each, state: each.connection.freeze() }));
    this.#frozenDevices = this.#plan.devices.map(({ device }) => device);
    for (const device of this.#frozenDevices) device.freeze();
    return frozen;
  }

  /** Undoes everything, whatever of it fails. Returns what is to be thrown. */
  #rollBack(reason: unknown): unknown {
    this.#carrier.abort(messageOf(reason));
    const failures = failuresOf([
      ...this.#invalidated.reverse().map((container) => () => container.handOver.thaw()),
      ...this.#containers.map((container) => () => container.lock(undefined)),
      ...this.#frozenConnections.map(
        ({ connection }) =>
          () =>
            connection.thaw(),
      ),
      ...this.#frozenDevices.map((device) => () => device.thaw()),
      () => {
        if (this.#stopped) this.#plan.options.resume?.();
      },
    ]);
    if (failures.length === 0) return reason;
    return new AggregateError(
      [reason, ...failures],
      `the hand-over failed, and ${failures.length} steps of it could not be undone`,
    );
  }

  /**
   * The devices are the successor's. It waits for the machines: KVM lets a device's file have one, and one that is closed later
   * would take it from the next.
   */
  #close({ connections, memory }: Description): readonly unknown[] {
    return failuresOf([
      ...connections.map(
        ({ connection }) =>
          () =>
            connection.disown(),
      ),
      ...[...this.#plan.machines.values()].map((vm) => () => vm.close()),
      () => this.#carrier.released(),
      ...this.#containers.map((container) => () => container.disown()),
      ...memory.map((each) => () => each.disown()),
    ]);
  }

  async #acknowledge(): Promise<LiveUpdateReport> {
    const waiting = this.#wait("acknowledge", 10_000, "until the successor had sent its report", (wait) =>
      this.#carrier.acknowledged(wait),
    );
    return Timeline.decode(await waiting).report;
  }

  #wait<T>(
    which: keyof HandOverTimeouts,
    byDefault: number,
    what: string,
    wait: (wait: { readonly signal: AbortSignal }) => Promise<T>,
  ): Promise<T> {
    const { signal, timeouts } = this.#options;
    return withDeadline(what, timeouts?.[which] ?? byDefault, which === "acknowledge" ? undefined : signal, wait);
  }
}
