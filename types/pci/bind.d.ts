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
import { type HostPaths } from "../kernel/files.js";
import { type PciAddress } from "./address.js";
import { type NotePaths } from "./note.js";
import { type BindingStep } from "./rebind.js";
import type { DeviceUse } from "./use.js";
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
/**
 * Plans to bind a driver to a device, without changing anything: the writes that {@link bindDriver} will do, and who
 * uses the device. It needs no privileges, except to see the descriptors of other users' processes.
 *
 * @param address `0000:01:00.0`, or `01:00.0` in domain 0
 * @throws VfioError if there is no such device (`ENODEV`), no such driver (`ENOENT`), or no IOMMU for a VFIO driver
 * (`ENODEV`; also where VFIO's no-IOMMU mode would do without)
 */
export declare function planBinding(address: string, options?: PlanOptions): BindingPlan;
/** A device that was given to another driver. Restoring it, or disposing it, gives it back. */
export declare class Binding implements Disposable {
    #private;
    /** What was done. */
    readonly plan: BindingPlan;
    /** The device. */
    get address(): PciAddress;
    /** The driver that was bound to it. */
    get driver(): string | undefined;
    /** The driver that it had before; undefined if it had none. */
    get previousDriver(): string | undefined;
    /** Whether there is something left to restore. */
    get active(): boolean;
    /**
     * Gives the device back to the driver that it had, and then `driver_override` the value that it had, which need not
     * be that driver's name. Does nothing the second time, if nothing was changed, and if the device is gone. It does not wait for what the driver does later:
     * a disk's block devices may appear a moment after.
     *
     * @throws VfioError `EBUSY` if the device is in use (while a process has a VFIO device open the kernel would wait
     * for it, and this process with it), or if somebody gave it to a third driver since; with the driver's own error if
     * it does not take the device back. What was not restored then stays to be restored, by another call.
     */
    restore(): void;
    /** {@link restore}, for `using`. */
    [Symbol.dispose](): void;
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
export declare function bindDriver(address: string, options?: BindOptions): Binding;
