/**
 * A virtual machine, as far as a device's interrupts need it.
 *
 * ```text
 *  Vm --- descriptor, kind of irqchip
 *   |- routing: GsiRouting          GSI -> message, or controller's pin
 *   |- IrqFd                        eventfd -> GSI
 *   |- KvmIoeventfd                 guest's write -> eventfd
 *   |- Vcpu --- LocalApic           where interrupts arrive
 *   |- KvmVfioDevice                VFIO's files, for drivers that need KVM
 *   `- MessageConnection, IntxConnection
 * ```
 *
 * @module
 */

import { constants } from "node:os";
import {
  checkBoolean,
  checkDescriptor,
  checkInteger,
  checkOptions,
  checkRequired,
  checkString,
  knownOptions,
  oneOf,
} from "../base/arguments.js";
import { argTypeError, check, type VfioErrorInit } from "../base/errors.js";
import { openOrClosed, showAs } from "../base/inspect.js";
import { runAll } from "../base/run-all.js";
import { OwnedFd } from "../kernel/fd.js";
import { native } from "../kernel/native.js";
import { KVM_CAP_IRQ_ROUTING, KVM_CAP_IRQFD, KVM_CAP_SPLIT_IRQCHIP } from "../kernel/uapi.js";
import { KvmIoeventfd, type KvmIoeventfdOptions } from "./ioeventfd.js";
import { IrqFd, type IrqFdOptions } from "./irqfd.js";
import { KvmVfioDevice } from "./kvm-vfio.js";
import type { GuestConnection, VmPart } from "./part.js";
import {
  checkGsi,
  checkMessage,
  defaultRoutes,
  type GsiRoute,
  GsiRouting,
  IOAPIC_PINS,
  type MsiMessage,
} from "./routing.js";
import { Vcpu } from "./vcpu.js";

const { EEXIST, EINVAL, ENOTTY, ENXIO } = constants.errno;

/**
 * Where the interrupt controllers are: all of them in the kernel; the local APICs in the kernel and the others in user space;
 * or none in the kernel, and then no interrupt can be wired.
 */
export type IrqchipKind = "full" | "split" | "none";

/** How a virtual machine is made. */
export interface VmOptions {
  /** Default `full`. */
  readonly irqchip?: IrqchipKind;
  /** For messages. Default `VM 1`, `VM 2`, ... */
  readonly label?: string;
}

/** What cannot be asked of a virtual machine that somebody else made. */
export interface AdoptOptions {
  readonly irqchip: IrqchipKind;
  /** What its routing table holds: `default` as `KVM_CREATE_IRQCHIP` made it. Left out, routes cannot be changed here. */
  readonly routes?: ReadonlyMap<number, GsiRoute> | "default";
  readonly label?: string;
}

const checkIrqchip = oneOf(["full", "split", "none"]);
const vmOptions = knownOptions<VmOptions>({ irqchip: checkIrqchip, label: checkString });
const adoptOptions = knownOptions<AdoptOptions>({ irqchip: checkIrqchip, routes: checkRoutes, label: checkString });

function checkRoutes(name: string, value: unknown): void {
  if (value !== "default" && !(value instanceof Map)) throw argTypeError(name, '"default" or a Map of routes', value);
}

let made = 0;

/**
 * A virtual machine. Closing it closes what it made: first the interrupts' connections, which give the devices' interrupts back
 * to this process.
 */
export class Vm implements Disposable {
  readonly label: string;
  readonly irqchip: IrqchipKind;
  /** Which interrupt each GSI is. */
  readonly routing: GsiRouting;
  /** In the order in which they were made. @internal */
  readonly parts = new Set<VmPart>();
  readonly #fd: OwnedFd;

  private constructor(
    fd: OwnedFd,
    label: string,
    irqchip: IrqchipKind,
    routes: ReadonlyMap<number, GsiRoute> | undefined,
  ) {
    this.#fd = fd;
    this.label = label;
    this.irqchip = irqchip;
    const gsiCount = Math.max(0, native.kvmCheckExtension(fd.number, KVM_CAP_IRQ_ROUTING));
    this.routing = new GsiRouting(
      {
        get fd() {
          return fd.number;
        },
        label,
        gsiCount,
        userOf: (gsi) => this.#irqfds.find((irqfd) => irqfd.assigned && irqfd.gsi === gsi)?.label,
      },
      routes,
    );
  }

  /** The interrupts of devices that go to it, in the order in which they were connected. @internal */
  get connections(): readonly GuestConnection[] {
    return [...this.parts].flatMap(({ connection }) => (connection === undefined ? [] : [connection]));
  }

  get #irqfds(): IrqFd[] {
    return [...this.parts].filter((part) => part instanceof IrqFd);
  }

  /** @internal */
  static create(kvm: number, options: VmOptions): Vm {
    checkOptions("options", options, vmOptions);
    const { irqchip = "full", label = `VM ${++made}` } = options;
    const number = check(native.kvmCreateVm(kvm, 0), () => ({
      syscall: "ioctl",
      request: "KVM_CREATE_VM",
      object: "/dev/kvm",
    }));
    const fd = new OwnedFd(number, label);
    try {
      if (irqchip === "full") {
        check(native.kvmCreateIrqchip(number), (errno) => refuseIrqchip("KVM_CREATE_IRQCHIP", errno, label));
      } else if (irqchip === "split") {
        // The GSIs below are the pins of the IOAPIC in user space.
        check(native.kvmEnableCap(number, KVM_CAP_SPLIT_IRQCHIP, IOAPIC_PINS), (errno) =>
          refuseIrqchip("KVM_ENABLE_CAP", errno, label),
        );
      }
      return new Vm(fd, label, irqchip, irqchip === "full" ? defaultRoutes() : new Map());
    } catch (error) {
      fd.close();
      throw error;
    }
  }

  /**
   * Takes over a virtual machine that somebody else made (another library of this process, or one that sent the descriptor).
   *
   * @param fd the descriptor: it belongs to the object from here on, and becomes close-on-exec. If this throws, it is still
   *   the caller's.
   * @throws VfioError `EBADF`, or `ENOTTY` if it is no virtual machine
   */
  static adopt(fd: number, options: AdoptOptions): Vm {
    checkDescriptor("fd", fd);
    checkRequired("options", options, adoptOptions, "irqchip");
    const { irqchip, routes, label = `VM ${++made}` } = options;
    // Both /dev/kvm and a VM answer this; only the former tells the version.
    const refuse = (why: string) => ({
      syscall: "ioctl",
      request: "KVM_CHECK_EXTENSION",
      args: { fd },
      object: label,
      why,
    });
    const answer = native.kvmCheckExtension(fd, KVM_CAP_IRQFD);
    const isVm = answer < 0 || native.kvmGetApiVersion(fd) < 0;
    check(isVm ? answer : -ENOTTY, (errno) =>
      refuse(
        errno === ENOTTY || errno === EINVAL ? "the descriptor is no virtual machine" : "the descriptor is not open",
      ),
    );
    const owned = OwnedFd.adopt(fd, label);
    return new Vm(owned, label, irqchip, routes === "default" ? defaultRoutes() : routes);
  }

  /** The descriptor, borrowed. */
  get fd(): number {
    return this.#fd.number;
  }

  /** Whether it has been closed. */
  get closed(): boolean {
    return this.#fd.closed;
  }

  /** Whether a GSI has a route in force; undefined if nobody knows. */
  hasRoute(gsi: number): boolean | undefined {
    checkGsi("gsi", gsi);
    return this.routing.known ? this.routing.routes.has(gsi) : undefined;
  }

  /**
   * Makes a vCPU. Local APICs are made with the vCPU, so the irqchip comes first, as it does here.
   *
   * @param id from 0; on x86 also its APIC id
   * @throws VfioError
   */
  createVcpu(id = 0): Vcpu {
    checkInteger("id", id, 0, 0xffff_ffff);
    return new Vcpu(this, id);
  }

  /** Wires an eventfd to a GSI. Throws as {@link IrqFd.assign}. */
  irqfd(options: IrqFdOptions): IrqFd {
    return new IrqFd(this, options);
  }

  /** Has KVM signal an eventfd when the guest writes somewhere. @throws VfioError */
  ioeventfd(options: KvmIoeventfdOptions): KvmIoeventfd {
    return new KvmIoeventfd(this, options);
  }

  /** Makes the device that tells KVM of VFIO's files; one for a machine. @throws VfioError `EBUSY` for the second */
  createVfioDevice(): KvmVfioDevice {
    return new KvmVfioDevice(this);
  }

  /**
   * Raises or lowers a line of the interrupt controller in the kernel (`KVM_IRQ_LINE`).
   *
   * @throws VfioError `ENXIO` if there is none
   */
  irqLine(gsi: number, level: boolean): void {
    checkGsi("gsi", gsi);
    checkBoolean("level", level);
    check(native.kvmIrqLine(this.fd, gsi, level), (errno) => ({
      syscall: "ioctl",
      request: "KVM_IRQ_LINE",
      args: { gsi, level },
      object: this.label,
      ...(errno === ENXIO ? { why: "the machine has no interrupt controller in the kernel" } : {}),
    }));
  }

  /**
   * Sends the guest a message (`KVM_SIGNAL_MSI`): an interrupt, without a route.
   *
   * @returns whether a vCPU took it: false if the guest has none there that takes interrupts
   * @throws VfioError `EINVAL` if the machine has no interrupt controller in the kernel
   */
  signalMsi(message: MsiMessage): boolean {
    checkMessage("message", message);
    const { address, data, deviceId } = message;
    const status = check(native.kvmSignalMsi(this.fd, address, data, deviceId), (errno) => ({
      syscall: "ioctl",
      request: "KVM_SIGNAL_MSI",
      args: { address, data },
      object: this.label,
      ...(errno === EINVAL && this.irqchip === "none"
        ? { why: "the machine has no interrupt controller in the kernel" }
        : {}),
    }));
    return status > 0;
  }

  /**
   * Closes what the machine made, the newest first, and its descriptor. The machine itself goes with the last descriptor of it
   * and of its vCPUs. A second call does nothing.
   */
  close(): void {
    if (this.closed) return;
    try {
      runAll(
        `closing ${this.label}`,
        [...this.parts].reverse().map((part) => () => part.close()),
      );
    } finally {
      this.#fd.close();
    }
  }

  /** {@link close}, for `using`. */
  [Symbol.dispose](): void {
    this.close();
  }

  toString(): string {
    return this.label;
  }
}

function refuseIrqchip(request: string, errno: number, object: string): Omit<VfioErrorInit, "errno"> {
  const why = new Map([
    [EEXIST, "it has one already, or has vCPUs already: the irqchip comes first"],
    [ENOTTY, "this processor's KVM has another way to make one"],
    [EINVAL, "this KVM does not have that kind of irqchip"],
  ]).get(errno);
  return { syscall: "ioctl", request, object, ...(why === undefined ? {} : { why }) };
}

showAs(Vm, (vm) => `${vm.label}, ${openOrClosed(vm)}`);
