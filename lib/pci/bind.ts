/**
 * Giving a PCI device to another driver, and back.
 *
 * The means is `driver_override`, which names the one driver that may have this one device. (`new_id`, the older way,
 * makes the driver take every device of the kind, now and later.) A plan of writes is made first; binding executes
 * exactly that plan, and every write carries the one that undoes it.
 *
 * The driver is bound by its own `bind` file and not by the bus' `drivers_probe`: the latter answers "success" if no
 * driver wanted the device and EINVAL for every failure, `bind` answers with the driver's own error.
 *
 * @module
 */

import { accessSync, constants } from "node:fs";
import { constants as os } from "node:os";
import { join } from "node:path";
import { argTypeError, argValueError, errnoName, VfioError } from "../base/errors.js";
import { showAs } from "../base/inspect.js";
import { failuresOf } from "../base/run-all.js";
import {
  errnoOf,
  exists,
  type HostPaths,
  isGone,
  type Roots,
  readLinkName,
  readNumber,
  rootsOf,
  withUndoErrors,
  writeAttribute,
  writeRefusal,
} from "../kernel/files.js";
import { type PciAddress, pciAddress } from "./address.js";
import { isVfioDriver } from "./group.js";
import { withDeviceLock } from "./lock.js";
import { groupIdOf, noIommuGroup } from "./node.js";
import { type Note, type NotePaths, noteFormerDriver, revertNote } from "./note.js";
import { noSuchPciDevice, pciDevicePath, readDriverOverride } from "./pci.js";
import { type BindingStep, rebindSteps, type SysfsWrite } from "./rebind.js";
import type { DeviceUse } from "./use.js";
import { findDeviceUses } from "./uses.js";

/** What {@link bindDriver} would do, and what stands in its way. */
export interface BindingPlan {
  readonly address: PciAddress;
  /** The driver that is bound now; undefined if none is. */
  readonly from: string | undefined;
  /** The driver that will be bound; undefined for none. */
  readonly to: string | undefined;
  /** The writes, in order; none if the device is where it should be. Undoing goes from the last to the first. */
  readonly steps: readonly BindingStep[];
  /** Who uses the device now. Without `force`, {@link bindDriver} refuses if there is anyone. */
  readonly uses: readonly DeviceUse[];
}

/** Options of {@link planBinding}. */
export interface PlanOptions extends HostPaths {
  /** The driver's name as in `/sys/bus/pci/drivers`; `vfio-pci`. `null` leaves the device without a driver. */
  readonly driver?: string | null;
}

/** Options of {@link bindDriver}. */
export interface BindOptions extends PlanOptions, NotePaths {
  /**
   * Take the device even from those who use it: mounted file systems, interfaces that are up, other processes. If
   * another process has it open through VFIO, the kernel asks that process for it (the REQ interrupt) and the call
   * lasts until it is closed. From this process itself it cannot be taken: nobody would be left to close it.
   */
  readonly force?: boolean;
}

function driverPath(driver: string, roots: Roots): string {
  return join(roots.sysfs, "bus/pci/drivers", driver);
}

function requireDriver(driver: string, roots: Roots): void {
  if (typeof driver !== "string") throw argTypeError("driver", "a driver's name, or null for none", driver);
  if (!/^[\w.-]+$/.test(driver) || driver.startsWith(".")) {
    throw argValueError("driver", "a driver's name, like vfio-pci", driver);
  }
  const path = driverPath(driver, roots);
  if (exists(path)) return;
  throw new VfioError({
    errno: os.errno.ENOENT,
    syscall: "open",
    path,
    object: `driver ${driver}`,
    why: "the kernel has no PCI driver of this name now",
    fix:
      driver === "vfio-pci"
        ? "modprobe vfio-pci; if there is no such module, the kernel was built without CONFIG_VFIO_PCI"
        : `load its module (modprobe ${driver}), and see that the name is one in ${join(roots.sysfs, "bus/pci/drivers")}`,
  });
}

function requireIommu(address: PciAddress, path: string, roots: Roots): void {
  if (groupIdOf(path, roots) === undefined) throw noIommuGroup(address, path, roots);
}

/**
 * Plans to bind a driver to a device, without changing anything: the writes that {@link bindDriver} will do, and who
 * uses the device. It needs no privileges, except to see the descriptors of other users' processes.
 *
 * @param address `0000:01:00.0`, or `01:00.0` in domain 0
 * @throws VfioError if there is no such device (`ENODEV`), no such driver (`ENOENT`), or no IOMMU for a VFIO driver
 * (`ENODEV`; also where VFIO's no-IOMMU mode would do without)
 */
export function planBinding(address: string, options: PlanOptions = {}): BindingPlan {
  const plan = planWrites(address, options);
  return plan.steps.length === 0 ? plan : { ...plan, uses: findDeviceUses(plan.address, options) };
}

/** A plan that has not asked yet what uses the device. */
function planWrites(address: string, options: PlanOptions): BindingPlan {
  const roots = rootsOf(options);
  const canonical = pciAddress(address);
  const path = pciDevicePath(canonical, roots);
  if (!exists(path)) throw noSuchPciDevice(canonical, roots);
  const { driver = "vfio-pci" } = options;
  const to = driver ?? undefined;
  const from = readLinkName(join(path, "driver"));
  if (to !== undefined) requireDriver(to, roots);
  // Also where the driver is bound already: in no-IOMMU mode by somebody else, perhaps.
  if (to !== undefined && isVfioDriver(to)) requireIommu(canonical, path, roots);
  if (from === to) return { address: canonical, from, to, steps: [], uses: [] };
  const override = readDriverOverride(path);
  const after = { driver: to, override: to ?? override };
  return {
    address: canonical,
    from,
    to,
    steps: rebindSteps(canonical, { driver: from, override }, after, roots),
    uses: [],
  };
}

/** A device that was given to another driver. Restoring it, or disposing it, gives it back. */
export class Binding implements Disposable {
  readonly #paths: NotePaths;
  readonly #noteBefore: Note | undefined;
  readonly #undo: SysfsWrite[];

  /** What was done. */
  readonly plan: BindingPlan;

  /** @internal */
  constructor(plan: BindingPlan, noteBefore: Note | undefined, paths: NotePaths) {
    this.plan = plan;
    this.#noteBefore = noteBefore;
    this.#paths = paths;
    this.#undo = plan.steps.map((step) => step.undo);
  }

  /** The device. */
  get address(): PciAddress {
    return this.plan.address;
  }

  /** The driver that was bound to it. */
  get driver(): string | undefined {
    return this.plan.to;
  }

  /** The driver that it had before; undefined if it had none. */
  get previousDriver(): string | undefined {
    return this.plan.from;
  }

  /** Whether there is something left to restore. */
  get active(): boolean {
    return this.#undo.length > 0;
  }

  /**
   * Gives the device back to the driver that it had, and then `driver_override` the value that it had, which need not
   * be that driver's name. Does nothing the second time, if nothing was changed, and if the device is gone. It does not wait for what the driver does later:
   * a disk's block devices may appear a moment after.
   *
   * @throws VfioError `EBUSY` if the device is in use (while a process has a VFIO device open the kernel would wait
   * for it, and this process with it), or if somebody gave it to a third driver since; with the driver's own error if
   * it does not take the device back. What was not restored then stays to be restored, by another call.
   */
  restore(): void {
    if (!this.active) return;
    withDeviceLock(this.address, this.#paths, () => {
      this.#undoWrites();
      revertNote(this.address, this.#noteBefore, this.#paths);
    });
  }

  #undoWrites(): void {
    const { address, from, to } = this.plan;
    const roots = rootsOf(this.#paths);
    const path = pciDevicePath(address, roots);
    if (!exists(path)) {
      this.#undo.length = 0;
      return;
    }
    const now = readLinkName(join(path, "driver"));
    if (now !== undefined && now !== to) {
      if (now !== from) {
        throw new VfioError({
          errno: os.errno.EBUSY,
          syscall: "write",
          object: address,
          why: `it was bound to ${to ?? "no driver"} here, and somebody has bound it to ${now} since`,
          fix: `find out who; then bind it where it belongs: ${bindCall(address, from)}`,
        });
      }
      // Somebody was quicker. Our name may be left in driver_override.
      const ours = readDriverOverride(path) === to;
      const rest = this.#undo.filter((write) => ours && isOverride(write));
      this.#undo.splice(0, Number.POSITIVE_INFINITY, ...rest);
    } else {
      const uses = findDeviceUses(address, this.#paths);
      if (uses.length > 0) throw inUse(address, uses);
      // Unbound already: by somebody else, or by a restore that failed after that.
      if (now === undefined && this.#undo.at(-1)?.path.endsWith("/unbind")) this.#undo.pop();
    }
    for (let write = this.#undo.at(-1); write !== undefined; write = this.#undo.at(-1)) {
      perform(write, address, roots);
      this.#undo.pop();
    }
  }

  /** {@link restore}, for `using`. */
  [Symbol.dispose](): void {
    this.restore();
  }
}

function isOverride({ path }: SysfsWrite): boolean {
  return path.endsWith("/driver_override");
}

function bindCall(address: PciAddress, driver: string | undefined): string {
  return `bindDriver("${address}", { driver: ${driver === undefined ? null : `"${driver}"`} })`;
}

function inUse(address: PciAddress, uses: readonly DeviceUse[], force?: string): VfioError {
  return new VfioError({
    errno: os.errno.EBUSY,
    syscall: "write",
    object: address,
    why: `it is in use: ${uses.map((use) => use.why).join("; ")}`,
    fix: `${[...new Set(uses.map((use) => use.fix))].join("; ")}${force ?? ""}`,
  });
}

/**
 * Binds a driver to a PCI device, `vfio-pci` unless another is named. If a step fails, the earlier ones are undone
 * and the previous driver is bound again.
 *
 * It blocks until the drivers are done, which takes seconds with some disks and network cards, and before that while
 * another process changes the driver of the same device: its result then counts as the previous state.
 *
 * The former driver is noted in `/run/vfio` before the first write. A process that is ended by a signal (Ctrl-C) or
 * crashes restores nothing; {@link releaseDevice}, or `vfio unbind`, then gives the device back as the note says. The
 * package installs no signal handlers: a program that wants to restore its devices on Ctrl-C handles `SIGINT` itself.
 *
 * @param address `0000:01:00.0`, or `01:00.0` in domain 0
 * @returns the binding, which restores the device when it is disposed; keep it for as long as the device is needed
 * (it is not restored by garbage collection, nor at the end of the process). It is not active, and restores nothing,
 * if the device has the driver already.
 * @throws VfioError `EBUSY` if the device is in use, `EACCES` or `EROFS` without the permission; as {@link
 * planBinding}; if the former driver cannot be noted; with the driver's own error if it does not take the device. If
 * undoing failed too, the message says so, and `cause` is an AggregateError with all errors, the first one first.
 */
export function bindDriver(address: string, options: BindOptions = {}): Binding {
  const draft = planWrites(address, options);
  if (draft.steps.length === 0) return new Binding(draft, undefined, options);
  requireWritable(draft, rootsOf(options));
  return withDeviceLock(draft.address, options, () => {
    // Another process may have changed the driver since.
    const plan = planBinding(address, options);
    if (plan.steps.length === 0) return new Binding(plan, undefined, options);
    requireUnused(plan, options);
    requireWritable(plan, rootsOf(options));
    // The note comes before the first write: this process may be killed at any moment.
    const noteBefore = noteFormerDriver(plan.address, plan.to, options);
    carryOut(plan, rootsOf(options), () => revertNote(plan.address, noteBefore, options));
    return new Binding(plan, noteBefore, options);
  });
}

/**
 * Refuses to take a device from what uses it.
 *
 * @throws VfioError `EBUSY`
 * @internal
 */
export function requireUnused({ address, uses }: BindingPlan, { force }: BindOptions): void {
  const own = uses.filter((use) => use.own);
  if (own.length > 0) throw inUse(address, own);
  if (uses.length > 0 && force !== true) {
    const system = uses.some((use) => use.system);
    throw inUse(address, uses, system ? "" : "; or take the device from them all the same, with force");
  }
}

/**
 * Does what a plan says, or nothing of it.
 *
 * @param undone runs when every write has been undone after a failure
 * @throws VfioError as {@link bindDriver}
 * @internal
 */
export function carryOut({ address, steps }: BindingPlan, roots: Roots, undone: () => void): void {
  const done: BindingStep[] = [];
  try {
    for (const step of steps) {
      perform(step, address, roots);
      done.push(step);
    }
  } catch (error) {
    const undoing = done.toReversed().map(
      ({ undo }) =>
        () =>
          perform(undo, address, roots),
    );
    const failures = failuresOf(undoing);
    // What could not be undone is still to be given back, and the note says what to.
    throw withUndoErrors(error, failures.length === 0 ? failuresOf([undone]) : failures, driverNow(address, roots));
  }
}

function driverNow(address: PciAddress, roots: Roots): string {
  const now = readLinkName(join(pciDevicePath(address, roots), "driver"));
  return now === undefined ? "the device has no driver now" : `${now} is bound to it now`;
}

/**
 * Finds out before the first write that this process may not write, or that a file is missing.
 *
 * @internal
 */
export function requireWritable({ address, steps }: BindingPlan, roots: Roots): void {
  for (const step of steps) {
    try {
      accessSync(step.path, constants.W_OK);
    } catch (error) {
      throw explained(error, step, address, roots);
    }
  }
}

function perform(write: SysfsWrite, address: PciAddress, roots: Roots): void {
  try {
    writeAttribute(write.path, write.value);
  } catch (error) {
    throw explained(error, write, address, roots);
  }
}

/** Turns what a write to sysfs failed with into an error that says why. */
function explained(error: unknown, write: SysfsWrite, address: PciAddress, roots: Roots): unknown {
  const errno = errnoOf(error);
  if (errno === undefined) return error;
  const [why, fix] = reason(error, errno, write, address, roots);
  return new VfioError({
    errno,
    syscall: "write",
    object: address,
    path: write.path,
    args: { value: write.value },
    why,
    fix,
    cause: error,
  });
}

function reason(
  error: unknown,
  errno: number,
  write: SysfsWrite,
  address: PciAddress,
  roots: Roots,
): readonly [why: string, fix: string] {
  const refusal = writeRefusal(error, roots);
  if (refusal !== undefined) return refusal;
  const path = pciDevicePath(address, roots);
  if (isGone(error) && !exists(path)) return ["the device went away meanwhile", "see that it is plugged in"];
  const driver = /\/drivers\/([^/]+)\/bind$/.exec(write.path)?.[1];
  if (driver === undefined) return ["the kernel refused the write", "see the end of the kernel's log: dmesg | tail"];
  if (!exists(driverPath(driver, roots))) {
    return [`the driver ${driver} was unloaded`, `load it again: modprobe ${driver}`];
  }
  const log = `see what ${driver} says at the end of the kernel's log: dmesg | tail`;
  if (errno === os.errno.EBUSY && !isVfioDriver(driver)) {
    const group = groupIdOf(path, roots);
    return [
      `user space owns its IOMMU group${group === undefined ? "" : ` ${group}`}, and ${driver} does DMA of its own`,
      "close the other devices of the group first",
    ];
  }
  if (isVfioDriver(driver) && isBridge(path)) {
    return ["it is a bridge, and VFIO takes only endpoints", "name the device behind it"];
  }
  return [`the driver ${driver} does not take this device (${errnoName(errno)})`, log];
}

function isBridge(path: string): boolean {
  // Base class 6, subclass 4: a PCI-to-PCI bridge.
  return (readNumber(join(path, "class")) ?? 0) >> 8 === 0x0604;
}

showAs(Binding, ({ address, driver, previousDriver, active }) => {
  const drivers = `${driver ?? "no driver"}, before that ${previousDriver ?? "no driver"}`;
  return `${address}: ${drivers}${active ? "" : ", restored"}`;
});
