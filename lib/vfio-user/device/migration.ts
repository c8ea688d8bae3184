/**
 * The states of a device that migrates (`enum vfio_device_mig_state` in linux/vfio.h), without the peer-to-peer ones, which
 * vfio-user does not use, and the data that is carried from one device to the other.
 *
 * @module
 */
import { constants } from "node:os";
import { VfioError } from "../../base/errors.js";
import {
  MIGRATION_PRE_COPY,
  MIGRATION_STOP_COPY,
  MigrationState,
  type MigrationStateName,
  ProtocolError,
} from "../protocol/constants.js";
import { checkPresent } from "./work.js";

const { EFBIG, EINVAL } = constants.errno;

/** How a device is stopped, saved, and restored elsewhere. All of it may take its time. */
export interface Migration {
  /** The device is to stand still: from when this is done, it neither does DMA nor raises interrupts. */
  stop?(): void | Promise<void>;
  /**
   * It runs again: the client says so, or has reset the device. A client that leaves a device standing still does not make it
   * run: it is reset, and then run, for the next client.
   */
  run?(): void | Promise<void>;
  /** All that {@link load} needs elsewhere. The device is stopped. */
  save(): Uint8Array | Promise<Uint8Array>;
  /**
   * What can be carried ahead while the device still runs, if there is such a thing: what comes from here goes to
   * {@link load} in front of what {@link save} gives.
   */
  saveRunning?(): Uint8Array | Promise<Uint8Array>;
  /**
   * Takes over what a device of the same kind has saved. What it throws leaves this device in an error, out of which only a
   * reset leads.
   */
  load(state: Uint8Array): void | Promise<void>;
  /** The longest state that is taken, in bytes. Default 64 MiB. */
  readonly maxSize?: number;
}

const DEFAULT_MAX_SIZE = 64 << 20;

type State = MigrationStateName;

/** The single steps; every other way is made of these. */
const steps: Readonly<Record<State, readonly State[]>> = {
  error: [],
  stop: ["running", "stopCopy", "resuming"],
  running: ["stop", "preCopy"],
  stopCopy: ["stop"],
  resuming: ["stop"],
  preCopy: ["running", "stopCopy"],
};

const names = new Map<number, State>([
  [MigrationState.error, "error"],
  [MigrationState.stop, "stop"],
  [MigrationState.running, "running"],
  [MigrationState.stopCopy, "stopCopy"],
  [MigrationState.resuming, "resuming"],
  [MigrationState.preCopy, "preCopy"],
]);

/**
 * The shortest way from a state to another, without a state of saving in between.
 *
 * @returns undefined where there is none
 */
export function migrationPath(from: State, to: State, preCopy: boolean): readonly State[] | undefined {
  // The device would have to run again to save while it runs: the specification names this one, and forbids it.
  if (from === "stopCopy" && to === "preCopy") return undefined;
  const ways: (readonly State[])[] = [[from]];
  const seen = new Set<State>([from]);
  for (let way = ways.shift(); way !== undefined; way = ways.shift()) {
    const here = way.at(-1) ?? from;
    if (here === to) return way.slice(1);
    const saves = here === "preCopy" || here === "stopCopy";
    if (saves && way.length > 1) continue;
    for (const next of steps[here]) {
      if (seen.has(next) || (next === "preCopy" && !preCopy)) continue;
      seen.add(next);
      ways.push([...way, next]);
    }
  }
  return undefined;
}

/** Where a device is in its migration. */
export class MigrationMachine {
  readonly #migration: Migration | undefined;
  #state: State = "running";
  /** The device was stopped, and has not been run since. */
  #still = false;
  /** What is to be read, and how far it was. */
  #out: { readonly data: Uint8Array; at: number } | undefined;
  /** What was written so far, in a memory that grows: many small parts must not cost more than their bytes. */
  #in = new Uint8Array(0);
  #inSize = 0;

  constructor(migration: Migration | undefined) {
    this.#migration = migration;
  }

  get state(): State {
    return this.#state;
  }

  /** Whether only a reset makes the device one for a new client. */
  get needsReset(): boolean {
    return this.#state !== "running";
  }

  /** `VFIO_MIGRATION_*`; 0 for a device that cannot migrate. */
  get flags(): number {
    if (this.#migration === undefined) return 0;
    return MIGRATION_STOP_COPY | (this.#migration.saveRunning === undefined ? 0 : MIGRATION_PRE_COPY);
  }

  /**
   * Goes to another state.
   *
   * @param signal aborts when the client is gone: the steps that were not begun are left out
   * @throws ProtocolError if there is no way; what the device throws leaves it where it was, or in `error`
   */
  async change(number: number, signal: AbortSignal): Promise<void> {
    const migration = this.#migration;
    const to = names.get(number);
    const refuse = (why: string) => new ProtocolError(EINVAL, "VFIO_DEVICE_FEATURE_MIG_DEVICE_STATE", why);
    if (migration === undefined || to === undefined || to === "error")
      throw refuse(`state ${number} cannot be asked for`);
    const path = migrationPath(this.#state, to, migration.saveRunning !== undefined);
    if (path === undefined) throw refuse(`no way leads from ${this.#state} to ${to}`);
    for (const next of path) await this.#step(migration, next, signal);
  }

  async #step(migration: Migration, to: State, signal: AbortSignal): Promise<void> {
    const from = this.#state;
    checkPresent(signal);
    try {
      if (to === "stop" && from === "running") await this.#stop(migration);
      else if (to === "stop" && from === "resuming") await this.#finish(migration);
      else if (to === "running" && from === "stop") await this.#run();
      else if (to === "preCopy") this.#out = { data: (await migration.saveRunning?.()) ?? new Uint8Array(0), at: 0 };
      else if (to === "stopCopy") await this.#save(migration, from, signal);
      else if (to === "resuming") this.#forgetInput();
    } catch (error) {
      // A device that took over half a state is of no use, and neither is one that no longer stops.
      if (from === "resuming" || to === "stop") this.#state = "error";
      // It was stopped, and the rest failed.
      else if (from === "preCopy" && this.#still) this.#state = "stop";
      throw error;
    }
    if (to !== "preCopy" && to !== "stopCopy") this.#out = undefined;
    this.#state = to;
  }

  async #stop(migration: Migration): Promise<void> {
    // Also if it fails half-way.
    this.#still = true;
    await migration.stop?.();
  }

  async #run(): Promise<void> {
    await this.#migration?.run?.();
    this.#still = false;
  }

  /** What is left of the part that was carried ahead stays in front. */
  async #save(migration: Migration, from: State, signal: AbortSignal): Promise<void> {
    if (from === "preCopy") {
      await this.#stop(migration);
      checkPresent(signal);
    }
    const rest = from === "preCopy" ? this.#out?.data.subarray(this.#out.at) : undefined;
    const data = await migration.save();
    this.#out = { data: rest === undefined || rest.length === 0 ? data : Buffer.concat([rest, data]), at: 0 };
  }

  async #finish(migration: Migration): Promise<void> {
    const state = this.#in.slice(0, this.#inSize);
    this.#forgetInput();
    await migration.load(state);
  }

  #forgetInput(): void {
    this.#in = new Uint8Array(0);
    this.#inSize = 0;
  }

  /** The next part of what is saved: fewer bytes than `size` at the end. @throws ProtocolError in a wrong state */
  read(size: number): Uint8Array {
    if (this.#out === undefined) {
      throw new ProtocolError(EINVAL, "VFIO_USER_MIG_DATA_READ", `in state ${this.#state} nothing is saved`);
    }
    const part = this.#out.data.subarray(this.#out.at, this.#out.at + size);
    this.#out.at += part.length;
    return part;
  }

  /** @throws ProtocolError in a wrong state; VfioError EFBIG */
  write(data: Uint8Array): void {
    if (this.#state !== "resuming") {
      throw new ProtocolError(EINVAL, "VFIO_USER_MIG_DATA_WRITE", `in state ${this.#state} nothing is loaded`);
    }
    const limit = this.#migration?.maxSize ?? DEFAULT_MAX_SIZE;
    if (this.#inSize + data.length > limit) {
      throw new VfioError({ errno: EFBIG, syscall: "vfio-user", request: "VFIO_USER_MIG_DATA_WRITE", args: { limit } });
    }
    if (this.#inSize + data.length > this.#in.length) {
      const larger = new Uint8Array(Math.min(limit, Math.max(2 * this.#in.length, this.#inSize + data.length, 4096)));
      larger.set(this.#in);
      this.#in = larger;
    }
    this.#in.set(data, this.#inSize);
    this.#inSize += data.length;
  }

  /** The end of a reset, which leads out of every state. */
  async reset(): Promise<void> {
    this.#out = undefined;
    this.#forgetInput();
    if (this.#still) await this.#run();
    this.#state = "running";
  }

  /** The client is gone, and with it the data. A device that stands still goes on to do so: it may run elsewhere by now. */
  leave(): void {
    this.#out = undefined;
    this.#forgetInput();
    if (this.#state === "preCopy") this.#state = "running";
  }
}
