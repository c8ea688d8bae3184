/**
 * The successor's side of a live update.
 *
 * Everything is put together from what the old process has opened, bound, attached, mapped and switched on. No call here changes
 * anything that the devices could notice: no reset, no attach, no map, no `VFIO_DEVICE_SET_IRQS`.
 *
 * @module
 */

import {
  checkFunction,
  checkMilliseconds,
  checkObject,
  checkOptions,
  checkSignal,
  checkString,
  knownOptions,
} from "../base/arguments.js";
import { withDeadline } from "../base/deadline.js";
import { invalidStateError, messageOf, outOfRangeError } from "../base/errors.js";
import { showAs } from "../base/inspect.js";
import { failuresOf } from "../base/run-all.js";
import type { Container } from "../container/container.js";
import type { OwnedFd } from "../kernel/fd.js";
import type { IntxConnection } from "../kvm/intx-connection.js";
import type { MessageConnection } from "../kvm/message-connection.js";
import type { Vm } from "../kvm/vm.js";
import type { DmaBuffer } from "../memory/dma-buffer.js";
import type { IncomingCarrier } from "./carrier.js";
import { checkIncoming } from "./carrier.js";
import { decodeFrozen, type FrozenPart } from "./manifest/frozen.js";
import { decodeManifest, type Manifest } from "./manifest/manifest.js";
import { checkReceived, type RetrievedObjects, retrieveConnection, retrieveObjects } from "./retrieve.js";
import { type LiveUpdateReport, Timeline } from "./timeline.js";

/** How a successor waits for what it gets. */
export interface ReceiveOptions {
  readonly signal?: AbortSignal;
  /** How long until manifest and descriptors are there, in milliseconds. Default 60,000; `Infinity` for ever. */
  readonly timeout?: number;
}

/** How a successor takes over. */
export interface TakeOverOptions {
  /** A virtual machine of this process for each one of the manifest ({@link IncomingUpdate.machines}), by its name. Borrowed. */
  readonly machines?: Readonly<Record<string, Vm>>;
  /** Raises and lowers a device's line in a machine whose interrupt controllers are in user space. */
  readonly setLevel?: (device: string, level: boolean) => void;
  readonly signal?: AbortSignal;
  /** How long each wait may take, in milliseconds: until everything is frozen, and for the commit. Default 60,000. */
  readonly timeout?: number;
}

const receiveOptions = knownOptions<ReceiveOptions>({ signal: checkSignal, timeout: checkMilliseconds });
const takeOverOptions = knownOptions<TakeOverOptions>({
  machines: checkObject,
  setLevel: checkFunction,
  signal: checkSignal,
  timeout: checkMilliseconds,
});

const RECEIVE_MS = 60_000;
/** The longest wait for an old process that stalls after the commit. */
const RELEASE_MS = 5000;
/**
 * Receives what the old process hands over with {@link LiveUpdate.handOver}, and puts it together. The old process still works with
 * the devices: they can be read, and not changed, until {@link IncomingUpdate.takeOver}.
 *
 * @param carrier used up: closed when the hand-over is over, whatever comes
 * @throws VfioError `ETIMEDOUT` if nothing comes in time; VfioError for a manifest or a descriptor that is refused, after everything that came was closed and the
 *   old process got the reason
 */
export async function receiveLiveUpdate(
  carrier: IncomingCarrier,
  options: ReceiveOptions = {},
): Promise<IncomingUpdate> {
  checkIncoming("carrier", carrier);
  checkOptions("options", options, receiveOptions);
  const { signal, timeout = RECEIVE_MS } = options;
  let descriptors: readonly OwnedFd[] = [];
  try {
    const parcel = await withDeadline(
      "the wait for what the old process hands over",
      timeout,
      signal,
      (wait) => carrier.receive(wait),
      "see why the old process does not call handOver(), or give a longer timeout",
    );
    descriptors = parcel.descriptors;
    const manifest = decodeManifest(parcel.manifest, descriptors.length);
    checkReceived(manifest, descriptors);
    return new IncomingUpdate(carrier, manifest, retrieveObjects(manifest, descriptors), descriptors);
  } catch (error) {
    for (const descriptor of descriptors) descriptor.close();
    carrier.fail(messageOf(error));
    carrier.close();
    throw error;
  }
}

/**
 * The old process's objects in this process. Made by {@link receiveLiveUpdate}.
 *
 * Until {@link takeOver} the old process owns the devices and works with them. Registers, config space and memory can be read, and
 * BARs mapped. Every method that would change a device, a container or an address space throws an error with `code`
 * `ERR_INVALID_STATE`. The library cannot refuse three things: writes to memory, writes through `unsafeArrayBuffer()` of a
 * mapped BAR, and what the program does with a descriptor's number (`container.fd`, `interrupt.eventfd` and so on). A read of a
 * register that the device acts on counts as a change, too.
 */
export class IncomingUpdate implements Disposable {
  /** The versions and the pid of the process that wrote it. */
  readonly writer: { readonly version: string; readonly node: string; readonly pid: number };
  /** By the names that the old process gave them. From {@link takeOver} on the program's; until then this object's. */
  readonly containers: ReadonlyMap<string, Container>;
  /** The memory that has a name, in the same way. What is mapped without a name is found by its mapping. */
  readonly memory: ReadonlyMap<string, DmaBuffer>;
  /** The old program's own descriptors, in the same way. */
  readonly descriptors: ReadonlyMap<string, OwnedFd>;
  readonly #carrier: IncomingCarrier;
  readonly #manifest: Manifest;
  readonly #buffers: readonly DmaBuffer[];
  readonly #all: readonly OwnedFd[];
  readonly #connections: (MessageConnection | IntxConnection)[] = [];
  #frozen: FrozenPart | undefined;
  #phase: "waiting" | "taking over" | "over" | "abandoned" = "waiting";

  /** @internal */
  constructor(carrier: IncomingCarrier, manifest: Manifest, objects: RetrievedObjects, all: readonly OwnedFd[]) {
    this.#carrier = carrier;
    this.#manifest = manifest;
    this.writer = manifest.writer;
    this.containers = objects.containers;
    this.memory = objects.memory;
    this.descriptors = objects.descriptors;
    this.#buffers = objects.buffers;
    this.#all = all;
  }

  /** The names of the machines that {@link takeOver} is to be given. */
  get machines(): ReadonlySet<string> {
    return new Set(this.#manifest.connections.map(({ machine }) => machine));
  }

  /**
   * The descriptors (borrowed) of VFIO's files: the groups', and the devices' that have nodes of their own. A driver that needs
   * to know its machine learns it from KVM: `vm.createVfioDevice().addFile(file)`.
   *
   * @throws an error with `code` `ERR_INVALID_STATE` before {@link takeOver} has succeeded: a file has one machine, and until then
   *   that is the old process's
   */
  get files(): readonly number[] {
    if (!this.committed)
      throw invalidStateError("the files still have the old process's machine: call takeOver() first");
    return [...this.containers.values()].flatMap((container) => [
      ...container.files,
      ...[...container.devices.values()]
        .filter(({ attachment }) => attachment.door === "cdev")
        .map(({ attachment }) => attachment.port.fd),
    ]);
  }

  /** The container of a name. @throws RangeError if there is none */
  container(name: string): Container {
    checkString("name", name);
    const found = this.containers.get(name);
    if (found === undefined) throw outOfRangeError("name", `one of ${[...this.containers.keys()].join(", ")}`, name);
    return found;
  }

  /** The old program's own state. @throws an error with `code` `ERR_INVALID_STATE` before everything was frozen */
  get state(): Uint8Array {
    if (this.#frozen === undefined) throw invalidStateError("the old process has not frozen everything yet");
    return this.#frozen.state;
  }

  /** The interrupts' connections to guests, from {@link takeOver} on, in the order in which they were made. The program's. */
  get connections(): readonly (MessageConnection | IntxConnection)[] {
    return this.#connections;
  }

  /** Whether the devices are this process's. */
  get committed(): boolean {
    return this.#phase === "over";
  }

  /**
   * Makes the old process stop, takes the memory over, waits for the commit, and delivers interrupts again: those that came
   * meanwhile are raised at once.
   *
   * @returns what it took
   * @throws before the commit, after everything here was closed and the old process got the reason, so that it goes on. (A wrong
   *   argument leaves everything open.) Where {@link committed} is true, the devices are this process's, and the error is about
   *   connections to guests that could not be made; those interrupts are counted.
   */
  async takeOver(options: TakeOverOptions = {}): Promise<LiveUpdateReport> {
    checkOptions("options", options, takeOverOptions);
    if (this.#phase !== "waiting") throw invalidStateError(`this live update is ${this.#phase}`);
    const machines = this.#checkMachines(options.machines ?? {});
    this.#phase = "taking over";
    const { signal, timeout = 60_000 } = options;
    let timeline: Timeline;
    let frozen: FrozenPart;
    try {
      const late = await withDeadline("the wait for the last part", timeout, signal, (wait) =>
        this.#carrier.ready(wait),
      );
      frozen = decodeFrozen(late, this.#manifest);
      this.#frozen = frozen;
      timeline = new Timeline(frozen.times);
      timeline.begin("take over");
      for (const { handOver } of this.containers.values()) handOver.takeOver();
      timeline.begin("commit");
      await withDeadline("the wait for the old process's commit", timeout, signal, (wait) => this.#carrier.taken(wait));
    } catch (error) {
      this.#abandon(messageOf(error));
      throw error;
    }
    this.#phase = "over";
    // An old process that does not close in time, or is gone, keeps nothing from going on.
    await withDeadline("the wait for the old process's end", RELEASE_MS, undefined, (wait) =>
      this.#carrier.released(wait),
    ).catch(() => {});
    timeline.begin("reconnect");
    const failures = this.#reconnect(frozen, machines, options.setLevel);
    timeline.end();
    this.#carrier.done(timeline.encode());
    this.#carrier.close();
    if (failures.length > 0) {
      throw new AggregateError(failures, `${failures.length} interrupts do not come through; all else is taken over`);
    }
    return timeline.report;
  }

  #checkMachines(given: Readonly<Record<string, Vm>>): ReadonlyMap<string, Vm> {
    const machines = new Map(Object.entries(given));
    for (const item of this.#manifest.connections) {
      const vm = machines.get(item.machine);
      if (vm === undefined) {
        throw outOfRangeError("machines", `a machine for each of ${[...this.machines].join(", ")}`, [
          ...machines.keys(),
        ]);
      }
      if (vm.closed) throw invalidStateError(`the machine "${item.machine}" is closed`);
      const irqchip = { resample: "full", irqfd: "split", user: "none" } as const;
      if (item.kind === "intx" && vm.irqchip !== irqchip[item.delivery]) {
        throw outOfRangeError(
          `the irqchip of "${item.machine}"`,
          `"${irqchip[item.delivery]}", as the line of ${item.device} is connected`,
          vm.irqchip,
        );
      }
    }
    return machines;
  }

  /** Interrupts are delivered again: first to guests, then to listeners here. */
  #reconnect(
    frozen: FrozenPart,
    machines: ReadonlyMap<string, Vm>,
    setLevel: TakeOverOptions["setLevel"],
  ): readonly unknown[] {
    const containers = [...this.containers.values()];
    for (const container of containers) {
      container.handOver.finish();
      container.lock(undefined);
    }
    const devices = containers.flatMap(({ devices }) => [...devices.values()]);
    return failuresOf([
      ...this.#manifest.connections.map((item, index) => () => {
        const vm = machines.get(item.machine);
        const vectors = frozen.connections[index]?.vectors ?? [];
        if (vm !== undefined)
          this.#connections.push(retrieveConnection(item, vectors, vm, this.containers, this.#all, setLevel));
      }),
      ...devices.map((device) => () => device.thaw()),
    ]);
  }

  /**
   * Closes everything and gives the old process the reason; it goes on. Does nothing once the devices are this process's, or if it was
   * called before.
   */
  abandon(reason = "the successor does not want it"): void {
    if (this.#phase === "waiting") this.#abandon(reason);
  }

  #abandon(reason: string): void {
    this.#phase = "abandoned";
    for (const container of this.containers.values()) container.disown();
    // Memory that the program has mapped elsewhere does not close, and is kept. The old process gets the reason all the same.
    failuresOf(this.#buffers.map((buffer) => () => buffer.close()));
    for (const descriptor of this.#all) descriptor.close();
    // Last, when nothing here can act on the devices any more.
    this.#carrier.fail(reason);
    this.#carrier.close();
  }

  /** As {@link abandon}. */
  [Symbol.dispose](): void {
    this.abandon();
  }
}

showAs(
  IncomingUpdate,
  (update) =>
    `containers: ${[...update.containers.keys()].join(", ") || "none"}${update.committed ? ", taken over" : ""}`,
);
