/**
 * Devices at work, for this process and for a guest: what a hand-over must leave as it was, or bring to the other side.
 *
 * ```text
 *  edu   DMA in both directions; its line goes to the guest, which acknowledges it
 *  igb   MSI-X: vector 0 goes to the guest and is masked by irqfd, 1 goes there and is masked by eventfd, 2 is heard here;
 *        DMA by its driver; REQ is on
 *  ivshmem   (legacy containers) its memory is mapped for edu
 * ```
 *
 * @module
 */
import { setTimeout as pause } from "node:timers/promises";
import {
  type Container,
  type ContainerMode,
  type Device,
  DmaBuffer,
  openContainer,
  PciCommand,
  RegionMap,
  type Registers,
} from "vfio";
import { connectIntx, connectMessages, IntxConnection, type Kvm, MessageConnection, type Vm } from "vfio/kvm";
import type { IncomingUpdate, LiveUpdateOptions } from "vfio/live-update";
import { expect } from "vitest";
import { Igb } from "../../../examples/igb.js";
import { native } from "../../../lib/kernel/native.js";
import { TinyGuest } from "../../kvm/guest.js";
import { Machine, message } from "../../kvm/machine.js";
import { devices } from "../devices.js";

// QEMU, docs/specs/edu.rst
const EDU = {
  liveness: 0x04,
  status: 0x24,
  raise: 0x60,
  acknowledge: 0x64,
  source: 0x80,
  destination: 0x88,
  count: 0x90,
  command: 0x98,
} as const;
const EDU_BUFFER = 0x40000;
const EDU_MASK = 0xfff_ffff;
// Intel's 82576 datasheet: "General Purpose Interrupt Enable", "Extended Interrupt Cause Set", "Mask Set", "Auto Clear"
const IGB = { enable: 0x1514, cause: 0x1520, mask: 0x1524, autoClear: 0x152c } as const;

const LINE = { pin: 5, vector: 0x45 } as const;
const PAGE = native.pageSize();
const WAIT_MS = 10_000;
/** How much one DMA copies. */
const LENGTH = 256;
/** Once around the guest's loop takes one interrupt: as many more without one, and it is quiet. */
const QUIET = 8;

/** A guest that counts what it gets. */
export class Guest implements Disposable {
  readonly machine: Machine;
  readonly #tiny: TinyGuest;

  constructor(kvm: Kvm) {
    this.machine = new Machine(kvm);
    this.#tiny = new TinyGuest(this.machine.vm, this.machine.vcpu, { pin: LINE });
    this.#tiny.step();
  }

  get vm(): Vm {
    return this.machine.vm;
  }

  /** Runs it until it has got an interrupt, and then until it gets no more. Returns how many it got. */
  run(): number {
    const before = this.#tiny.interrupts;
    const deadline = performance.now() + WAIT_MS;
    while (this.#tiny.interrupts === before && performance.now() < deadline) this.#tiny.step();
    this.settle();
    return this.#tiny.interrupts - before;
  }

  /** Runs it until it gets no more. */
  settle(): void {
    for (let quiet = 0; quiet < QUIET; ) {
      const before = this.#tiny.interrupts;
      this.#tiny.step();
      quiet = this.#tiny.interrupts === before ? quiet + 1 : 0;
    }
  }

  [Symbol.dispose](): void {
    this.machine.vm.close();
    this.#tiny[Symbol.dispose]();
  }
}

/** The device's registers, and a DMA that may be under way. */
class Edu {
  readonly registers: Registers;

  constructor(device: Device) {
    this.registers = device.region("bar0").registers();
  }

  start(iova: bigint, toMemory: boolean): void {
    this.registers.write64(toMemory ? EDU.destination : EDU.source, iova);
    this.registers.write64(toMemory ? EDU.source : EDU.destination, EDU_BUFFER);
    this.registers.write64(EDU.count, LENGTH);
    this.registers.write64(EDU.command, toMemory ? 3 : 1);
  }

  /**
   * It takes 100 ms, by the emulator's clock, and the emulator needs a lock for it that each access takes: who asks without a
   * pause waits for seconds. (Its interrupt is the guest's.)
   */
  async finish(): Promise<void> {
    const deadline = performance.now() + WAIT_MS;
    while ((this.registers.read32(EDU.command) & 1) !== 0) {
      if (performance.now() > deadline) throw new Error("edu's DMA does not end");
      await pause(5);
    }
  }

  raise(): void {
    this.registers.write32(EDU.raise, 1);
  }

  acknowledge(): void {
    this.registers.write32(EDU.acknowledge, this.registers.read32(EDU.status));
  }
}

function deviceOf(container: Container, address: string): Device {
  const device = container.devices.get(address);
  if (device === undefined) throw new Error(`${address} is not there`);
  return device;
}

/** The connections to the guest: edu's line, and igb's vectors 0 and 1. */
const KINDS = ["line", "irqfd", "eventfd"] as const;
type Kind = (typeof KINDS)[number];

function kindOf(connection: IntxConnection | MessageConnection): Kind {
  return connection instanceof IntxConnection ? "line" : connection.masking;
}

export class World implements Disposable {
  readonly container: Container;
  readonly guest: Guest;
  readonly ring: DmaBuffer;
  /** How many interrupts of each delivery vector 2 has brought. */
  readonly heard: number[] = [];
  readonly #edu: Edu;
  readonly #igb: Device;
  readonly #registers: Registers;
  readonly #iova: bigint;
  /** Where ivshmem's memory is mapped for edu. */
  readonly #peer: bigint | undefined;
  #onHeard: () => void = () => {};
  #pattern = 1;
  #liveness = 0;

  private constructor(container: Container, guest: Guest, ring: DmaBuffer, iova: bigint, peer: bigint | undefined) {
    this.container = container;
    this.guest = guest;
    this.ring = ring;
    this.#iova = iova;
    this.#peer = peer;
    this.#edu = new Edu(deviceOf(container, devices.edu));
    this.#igb = deviceOf(container, devices.igb);
    this.#registers = this.#igb.region("bar0").registers();
    this.listen();
  }

  readonly #listener = (count: number) => {
    this.heard.push(count);
    this.#onHeard();
  };

  /** Hears vector 2, from now on, once. */
  listen(): void {
    this.#igb.msix.vector(2).off("interrupt", this.#listener).on("interrupt", this.#listener);
  }

  /** Everything from the start. The devices are with vfio-pci. */
  static async open(mode: ContainerMode, guest: Guest): Promise<World> {
    const container = openContainer({ mode });
    const edu = container.attach(devices.edu);
    const igb = container.attach(devices.igb);
    await Igb.open(container, igb);
    for (const register of [IGB.mask, IGB.autoClear]) igb.region("bar0").registers().write32(register, 7);
    for (const index of [1, 2]) igb.msix.enableVector(index);
    if (igb.req.count > 0) igb.req.enable();
    edu.busMaster = true;
    edu.region("bar0").registers().write32(EDU.acknowledge, 0xffff_ffff);
    const ring = DmaBuffer.allocate(4 * PAGE, { name: "ring" });
    const { iova } = container.map(ring, { mask: EDU_MASK });
    container.map(ring, { length: PAGE, offset: PAGE, write: false });
    container.map(DmaBuffer.allocate(PAGE), { mask: EDU_MASK });
    let peer: RegionMap | undefined;
    if (mode !== "iommufd") {
      const memory = container.attach(devices.ivshmem);
      memory.config.command |= PciCommand.memory;
      peer = memory.region("bar2").map(0, 4 * PAGE);
    }
    const mapped = peer === undefined ? undefined : container.map(peer, { mask: EDU_MASK });
    const world = new World(container, guest, ring, iova, mapped?.iova);
    world.reconnect();
    return world;
  }

  /**
   * What came from another process, before it is taken over. What is heard from then on is in {@link heard}.
   *
   * @param former knows where what is
   */
  static inherit(incoming: IncomingUpdate, guest: Guest, former: World): World {
    const ring = incoming.memory.get("ring");
    if (ring === undefined) throw new Error("the memory did not come");
    const world = new World(incoming.container("main"), guest, ring, former.#iova, former.#peer);
    world.#pattern = former.#pattern;
    world.#liveness = former.#liveness;
    return world;
  }

  /** For a hand-over. */
  get plan(): LiveUpdateOptions & { readonly machines: { readonly guest: Vm } } {
    return { containers: { main: this.container }, machines: { guest: this.guest.vm }, memory: { ring: this.ring } };
  }

  #connect(kind: Kind): void {
    const { vm } = this.guest;
    if (kind === "line") {
      const { intx } = deviceOf(this.container, devices.edu);
      connectIntx(intx.line ?? intx.enable(), vm, { gsi: LINE.pin });
    } else {
      const index = kind === "irqfd" ? 0 : 1;
      const vectors = [{ index, message: message(0x51 + index) }];
      connectMessages(this.#igb.msix, vm, vectors, { masking: kind });
    }
  }

  get connections(): readonly (IntxConnection | MessageConnection)[] {
    return [...this.guest.vm.parts].filter(
      (part) => part instanceof IntxConnection || part instanceof MessageConnection,
    );
  }

  /** Connects what is not connected, or not attached. Returns whether there was such. */
  reconnect(): boolean {
    const there = new Map(this.connections.map((connection) => [kindOf(connection), connection]));
    const missing = KINDS.filter((kind) => !there.has(kind));
    for (const kind of missing) this.#connect(kind);
    return missing.length > 0;
  }

  /** A DMA from memory to the device begins. It ends with {@link works}. */
  begin(): void {
    this.#pattern = (this.#pattern * 31 + 7) & 0xff;
    this.#liveness = (this.#liveness + 0x0101_0101) >>> 0;
    this.#edu.registers.write32(EDU.liveness, this.#liveness);
    this.ring.bytes.fill(0);
    this.ring.bytes.set(this.#bytes, 0);
    for (let at = 0; at < LENGTH; at += 8) this.#memory?.write64(at, 0n);
    this.#edu.start(this.#iova, false);
  }

  /** The part of ivshmem's memory that is mapped for edu. */
  get #memory(): RegionMap | undefined {
    const memory = this.#peer === undefined ? undefined : this.container.mappingAt(this.#peer)?.memory;
    return memory instanceof RegionMap ? memory : undefined;
  }

  get #bytes(): Uint8Array {
    return Uint8Array.from({ length: LENGTH }, (_, index) => (this.#pattern + index * 3) & 0xff);
  }

  /** The DMA that {@link begin} began has brought its bytes to the device, and they come back; the registers are as they were. */
  async comesBack(): Promise<void> {
    await this.#edu.finish();
    expect(this.#edu.registers.read32(EDU.liveness)).toBe(~this.#liveness >>> 0);
    expect(this.#registers.read32(IGB.mask) & 7).toBe(7);
    expect(this.#registers.read32(IGB.enable)).not.toBe(0);
    expect(deviceOf(this.container, devices.edu).busMaster).toBe(true);
    const target = this.#peer ?? this.#iova + BigInt(2 * PAGE);
    this.#edu.start(target, true);
    await this.#edu.finish();
    const memory = this.#memory;
    const bytes = Array.from(
      { length: LENGTH },
      (_, index) => memory?.read8(index) ?? this.ring.bytes[2 * PAGE + index],
    );
    expect(bytes).toEqual([...this.#bytes]);
  }

  /** Every interrupt arrives where it should: a message once, the line until it is acknowledged. */
  async interrupts(): Promise<void> {
    this.guest.settle();
    for (const index of [0, 1]) {
      this.#registers.write32(IGB.cause, 1 << index);
      expect(this.guest.run()).toBe(1);
    }
    expect(await this.hears()).toEqual([1]);
    // Last, because the kernel unmasks the line on a thread of its own: one more may come some time later.
    this.#edu.raise();
    expect(this.guest.run()).toBeGreaterThan(0);
    this.#edu.acknowledge();
    this.guest.settle();
  }

  /** What vector 2 brings when the device raises it once: all that has come until then. */
  async hears(): Promise<number[]> {
    this.heard.length = 0;
    const heard = new Promise<void>((resolve, reject) => {
      const timer = setTimeout(() => reject(new Error("vector 2 is not heard")), WAIT_MS);
      this.#onHeard = () => {
        clearTimeout(timer);
        resolve();
      };
    });
    this.raise();
    await heard;
    return [...this.heard];
  }

  /** The device raises vector 2. */
  raise(): void {
    this.#registers.write32(IGB.cause, 4);
  }

  /** All of it. */
  async works(): Promise<void> {
    await this.comesBack();
    await this.interrupts();
  }

  /** Whether everything here is closed. */
  get gone(): boolean {
    return this.container.closed && this.ring.closed && this.guest.vm.closed;
  }

  [Symbol.dispose](): void {
    this.guest.vm.close();
    if (!this.container.closed) {
      const buffers = new Set([...this.container.mappings].map(({ memory }) => memory));
      this.container.close();
      for (const buffer of buffers) if (buffer instanceof DmaBuffer) buffer.close();
    }
    this.guest[Symbol.dispose]();
  }
}
