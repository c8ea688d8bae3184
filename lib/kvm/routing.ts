/**
 * Which interrupt a GSI is: KVM's routing table.
 *
 * @module
 */

import { constants } from "node:os";
import {
  type Check,
  checkArray,
  checkInteger,
  checkRequired,
  checkU64,
  integer,
  knownOptions,
  oneOf,
} from "../base/arguments.js";
import { invalidStateError, outOfRangeError, VfioError } from "../base/errors.js";
import { counted, showAs } from "../base/inspect.js";
import { native } from "../kernel/native.js";
import {
  KVM_IRQ_ROUTING_IRQCHIP,
  KVM_IRQ_ROUTING_MSI,
  KVM_IRQCHIP_IOAPIC,
  KVM_IRQCHIP_PIC_MASTER,
  KVM_IRQCHIP_PIC_SLAVE,
  KVM_MSI_VALID_DEVID,
} from "../kernel/uapi.js";

const { EINVAL, ENOSPC } = constants.errno;

/** What a device's MSI or MSI-X vector writes where, as the guest has programmed it. */
export interface MsiMessage {
  /** On x86 `0xfee00000`, with the destination's APIC id from bit 12 on. */
  readonly address: number | bigint;
  /** On x86 the vector in the low byte. */
  readonly data: number;
  /** Who writes (a PCI requester's id), where the guest's controller wants to know: Arm's ITS. */
  readonly deviceId?: number;
}

/** A pin of an interrupt controller that is in the kernel. */
export interface IrqchipPin {
  /** x86's controllers by name; others by the kernel's number. */
  readonly irqchip: "pic-master" | "pic-slave" | "ioapic" | number;
  readonly pin: number;
}

/** What a GSI stands for: one message, or one pin on each of several controllers. */
export type GsiRoute = { readonly msi: MsiMessage } | { readonly pins: readonly IrqchipPin[] };

const irqchips = {
  "pic-master": KVM_IRQCHIP_PIC_MASTER,
  "pic-slave": KVM_IRQCHIP_PIC_SLAVE,
  ioapic: KVM_IRQCHIP_IOAPIC,
} as const;

const checkU32 = integer(0, 0xffff_ffff);

/** @throws TypeError, RangeError */
export const checkGsi: Check = checkU32;

const messageOptions = knownOptions<MsiMessage>({ address: checkU64, data: checkU32, deviceId: checkU32 });
const pinOptions = knownOptions<IrqchipPin>({ irqchip: checkIrqchip, pin: checkU32 });

function checkIrqchip(name: string, value: unknown): void {
  if (typeof value === "number") checkU32(name, value);
  else oneOf(Object.keys(irqchips))(name, value);
}

/** @throws TypeError, RangeError */
export const checkMessage: Check = (name, value) => checkRequired(name, value, messageOptions, "address", "data");

/** The IOAPIC's pins, and the GSIs that stand for them. */
export const IOAPIC_PINS = 24;

/** The table that KVM_CREATE_IRQCHIP makes on x86: GSI n is pin n of the IOAPIC, and IRQ n of the PICs up to 15. */
export function defaultRoutes(): Map<number, GsiRoute> {
  if (process.arch !== "x64") return new Map();
  return new Map(
    Array.from({ length: IOAPIC_PINS }, (_, gsi): [number, GsiRoute] => {
      const ioapic: IrqchipPin = { irqchip: "ioapic", pin: gsi };
      if (gsi >= 16) return [gsi, { pins: [ioapic] }];
      return [gsi, { pins: [{ irqchip: gsi < 8 ? "pic-master" : "pic-slave", pin: gsi % 8 }, ioapic] }];
    }),
  );
}

/** What a table needs of its machine. @internal */
export interface RoutingOwner {
  readonly fd: number;
  readonly label: string;
  /** How many GSIs there are. */
  readonly gsiCount: number;
  /** What hangs on a GSI now. */
  userOf(gsi: number): string | undefined;
}

// struct kvm_irq_routing_entry in 32-bit words.
const ENTRY_WORDS = 12;

/**
 * The routing table of a virtual machine.
 *
 * KVM knows only "replace the whole table": so changes gather here, and {@link commit} hands them over together, at the price
 * of one call. Until then nothing has changed. One table belongs to one process: two that commit replace each other's.
 */
export class GsiRouting {
  readonly #vm: RoutingOwner;
  #committed: ReadonlyMap<number, GsiRoute> | undefined;
  #wanted: Map<number, GsiRoute> | undefined;
  readonly #reserved = new Set<number>();

  /**
   * @param routes what is in the table now; undefined if nobody knows
   * @internal
   */
  constructor(vm: RoutingOwner, routes: ReadonlyMap<number, GsiRoute> | undefined) {
    this.#vm = vm;
    this.#committed = routes;
    this.#wanted = routes === undefined ? undefined : new Map(routes);
  }

  /** Whether it is known what is in the table: not so in a machine that was taken over without saying. */
  get known(): boolean {
    return this.#committed !== undefined;
  }

  /** The table that is in force. */
  get routes(): ReadonlyMap<number, GsiRoute> {
    return this.#known();
  }

  /** Whether there are changes that are not in force yet. */
  get changed(): boolean {
    const [committed, wanted] = [this.#committed, this.#wanted];
    if (committed === undefined || wanted === undefined) return false;
    return wanted.size !== committed.size || [...wanted].some(([gsi, route]) => committed.get(gsi) !== route);
  }

  #known(): ReadonlyMap<number, GsiRoute> {
    if (this.#committed !== undefined) return this.#committed;
    throw invalidStateError(
      `nobody said what is in the routing table of ${this.#vm.label}, and KVM replaces it as a whole: what another has set ` +
        "would be gone. Say so when you take the machine over: Vm.adopt(fd, { irqchip, routes })",
    );
  }

  #change(): Map<number, GsiRoute> {
    this.#known();
    this.#wanted ??= new Map();
    return this.#wanted;
  }

  /**
   * Sets a free GSI aside: one above the controllers' pins. {@link delete} gives it back.
   *
   * @throws VfioError `ENOSPC` if there is none
   */
  allocate(): number {
    const used = this.#wanted ?? this.#known();
    for (let gsi = IOAPIC_PINS; gsi < this.#vm.gsiCount; gsi++) {
      if (used.has(gsi) || this.#reserved.has(gsi)) continue;
      this.#reserved.add(gsi);
      return gsi;
    }
    throw new VfioError({
      errno: ENOSPC,
      syscall: "ioctl",
      request: "KVM_SET_GSI_ROUTING",
      object: this.#vm.label,
      why: `every one of its ${this.#vm.gsiCount} GSIs is in use`,
    });
  }

  /** From the next commit on, the GSI is a message. */
  setMsi(gsi: number, message: MsiMessage): this {
    this.#checkGsi(gsi);
    checkMessage("message", message);
    this.#change().set(gsi, { msi: message });
    return this;
  }

  /** From the next commit on, the GSI is these pins. */
  setPins(gsi: number, pins: readonly IrqchipPin[]): this {
    this.#checkGsi(gsi);
    checkArray("pins", pins);
    if (pins.length === 0) throw outOfRangeError("pins", "one pin or more", pins);
    for (const pin of pins) checkRequired("pins", pin, pinOptions, "irqchip", "pin");
    this.#change().set(gsi, { pins });
    return this;
  }

  /** From the next commit on, the GSI is nothing. It can be allocated again at once. */
  delete(gsi: number): this {
    this.#checkGsi(gsi);
    this.#reserved.delete(gsi);
    if (this.#wanted?.has(gsi)) this.#change().delete(gsi);
    return this;
  }

  #checkGsi(gsi: number): void {
    checkInteger("gsi", gsi, 0, this.#vm.gsiCount - 1);
  }

  /**
   * Puts all changes in force at once. Without changes it does nothing.
   *
   * @throws VfioError if KVM refuses; an error with `code` `ERR_INVALID_STATE` if something hangs on a GSI that would have no
   *   route, since KVM drops such interrupts. The changes are then still there, to be mended or {@link rollback rolled back}.
   */
  commit(): void {
    const wanted = this.#wanted;
    if (wanted === undefined || !this.changed) return;
    for (const gsi of this.#known().keys()) {
      const user = wanted.has(gsi) ? undefined : this.#vm.userOf(gsi);
      if (user === undefined) continue;
      throw invalidStateError(
        `${user} hangs on GSI ${gsi} of ${this.#vm.label}: without a route its interrupts would be lost`,
      );
    }
    const entries = [...wanted].flatMap(([gsi, route]) => entriesOf(gsi, route));
    const words = new Uint32Array(entries.length * ENTRY_WORDS);
    for (const [index, entry] of entries.entries()) words.set(entry, index * ENTRY_WORDS);
    const status = native.kvmSetGsiRouting(this.#vm.fd, words);
    if (status < 0) throw this.#refusal(status, entries.length);
    this.#committed = new Map(wanted);
  }

  /** Forgets the changes that are not in force yet. */
  rollback(): void {
    if (this.#committed !== undefined) this.#wanted = new Map(this.#committed);
  }

  #refusal(errno: number, entries: number): VfioError {
    return new VfioError({
      errno,
      syscall: "ioctl",
      request: "KVM_SET_GSI_ROUTING",
      args: { entries },
      object: this.#vm.label,
      ...(errno === -EINVAL
        ? {
            why: "the machine has no interrupt controller in the kernel, or a route names a pin or controller that it lacks",
          }
        : {}),
    });
  }
}

function entriesOf(gsi: number, route: GsiRoute): number[][] {
  if ("pins" in route) {
    return route.pins.map(({ irqchip, pin }) => {
      const chip = typeof irqchip === "number" ? irqchip : irqchips[irqchip];
      return [gsi, KVM_IRQ_ROUTING_IRQCHIP, 0, 0, chip, pin];
    });
  }
  const { address, data, deviceId } = route.msi;
  const wide = BigInt(address);
  const flags = deviceId === undefined ? 0 : KVM_MSI_VALID_DEVID;
  const words = [Number(wide & 0xffff_ffffn), Number(wide >> 32n), data, deviceId ?? 0];
  return [[gsi, KVM_IRQ_ROUTING_MSI, flags, 0, ...words]];
}

showAs(GsiRouting, (routing) => (routing.known ? counted(routing.routes.size, "route") : "unknown routes"));
