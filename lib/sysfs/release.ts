/**
 * Giving a device back, by another process than the one that took it: the way back from `vfio bind`.
 *
 * A {@link Binding} remembers the former driver as long as its process lives. Here a note in `/run` does, which is gone
 * after the next boot, and so are bindings. Without a note the kernel chooses, as it did when the device appeared.
 *
 * @module
 */
import { mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { type PciAddress, pciAddress } from "./address.js";
import { type BindingPlan, type BindingStep, carryOut } from "./bind.js";
import { errnoOf, exists, type HostPaths, isGone, readLinkName, rootsOf } from "./files.js";
import { isVfioDriver } from "./group.js";
import { noSuchPciDevice, pciDevicePath, readDriverOverride } from "./pci.js";
import { findDeviceUses } from "./uses.js";

/** What a device had before it was given away. */
export interface FormerDriver {
  /** The driver; undefined for none. */
  readonly driver: string | undefined;
  /** What `driver_override` said; undefined for nothing. */
  readonly override: string | undefined;
}

/** Where notes of former drivers are kept. */
export interface NotePaths extends HostPaths {
  /** A directory that is empty after each boot, and that only root writes to. Default `/run/vfio`. */
  readonly run?: string;
}

/** Options of {@link releaseDevice}. */
export interface ReleaseOptions extends NotePaths {
  /** As in {@link BindOptions}. */
  readonly force?: boolean;
}

/** What {@link releaseDevice} would do. */
export interface ReleasePlan extends BindingPlan {
  /** Who says which driver comes next: a note of the former one, or the kernel, which then chooses among its drivers. */
  readonly chosenBy: "note" | "kernel";
}

interface Note {
  readonly driver: string | null;
  readonly override: string | null;
  readonly to: string | null;
}

function notePath(address: PciAddress, { run = "/run/vfio" }: NotePaths): string {
  return join(run, `${address}.json`);
}

function isNote(value: unknown): value is Note {
  if (typeof value !== "object" || value === null) return false;
  return ["driver", "override", "to"].every((key) => {
    const field: unknown = Reflect.get(value, key);
    // It becomes a part of a path.
    return field === null || (typeof field === "string" && /^[\w-][\w.-]*$/.test(field));
  });
}

function readNote(address: PciAddress, paths: NotePaths): Note | undefined {
  try {
    const note: unknown = JSON.parse(readFileSync(notePath(address, paths), "utf8"));
    return isNote(note) ? note : undefined;
  } catch (error) {
    if (error instanceof SyntaxError || isGone(error) || errnoOf(error) !== undefined) return undefined;
    throw error;
  }
}

/**
 * Notes which driver a device had, for {@link releaseDevice} of another process. A device that is passed on from one
 * binding to the next keeps the first note.
 *
 * @param plan what was carried out, from {@link planBinding} before that
 * @throws Node's own error if the note cannot be written
 */
export function noteFormerDriver(plan: BindingPlan, paths: NotePaths = {}): void {
  if (plan.steps.length === 0) return;
  const before = readNote(plan.address, paths);
  const same = before !== undefined && before.to === (plan.from ?? null);
  const override = plan.steps.find(({ path }) => path.endsWith("/driver_override"))?.undo.value;
  const first = same
    ? { driver: before.driver, override: before.override }
    : { driver: plan.from ?? null, override: override === undefined || override === "" ? null : override };
  const path = notePath(plan.address, paths);
  mkdirSync(join(path, ".."), { recursive: true, mode: 0o755 });
  writeFileSync(path, `${JSON.stringify({ ...first, to: plan.to ?? null } satisfies Note)}\n`);
}

/** What a device had before, as noted; undefined without a note, or if somebody has bound another driver since. */
export function formerDriver(address: string, paths: NotePaths = {}): FormerDriver | undefined {
  const canonical = pciAddress(address);
  const note = readNote(canonical, paths);
  const now = readLinkName(join(pciDevicePath(canonical, rootsOf(paths)), "driver"));
  if (note === undefined || (now !== undefined && now !== note.to)) return undefined;
  return { driver: note.driver ?? undefined, override: note.override ?? undefined };
}

/**
 * Plans to give a device back to the driver that it had, without changing anything.
 *
 * @returns without steps if the device has a driver that is not VFIO's, and no `driver_override`: there is nothing to give back
 * @throws VfioError `ENODEV` if there is no such device
 */
export function planRelease(address: string, options: NotePaths = {}): ReleasePlan {
  const roots = rootsOf(options);
  const canonical = pciAddress(address);
  const path = pciDevicePath(canonical, roots);
  if (!exists(path)) throw noSuchPciDevice(canonical, roots);
  const from = readLinkName(join(path, "driver"));
  const before = readDriverOverride(path);
  const former = formerDriver(canonical, options);
  const chosenBy = former === undefined ? "kernel" : "note";
  const to = former?.driver;
  if (former === undefined && from !== undefined && !isVfioDriver(from) && before === undefined) {
    return { address: canonical, from, to: from, chosenBy, steps: [], uses: [] };
  }

  const steps: BindingStep[] = [];
  const drivers = join(roots.sysfs, "bus/pci/drivers");
  const bind = (name: string) => ({ path: join(drivers, name, "bind"), value: canonical });
  const unbind = (name: string) => ({ path: join(drivers, name, "unbind"), value: canonical });
  if (from !== undefined) steps.push({ ...unbind(from), undo: bind(from) });
  if (before !== former?.override) {
    const override = join(path, "driver_override");
    steps.push({
      path: override,
      value: former?.override ?? "",
      undo: { path: override, value: before ?? "" },
    });
  }
  // What the probe binds, if anything, only the kernel knows; undoing would first have to ask.
  const probe = { path: join(roots.sysfs, "bus/pci/drivers_probe"), value: canonical };
  if (former === undefined) steps.push({ ...probe, undo: probe });
  else if (to !== undefined) steps.push({ ...bind(to), undo: unbind(to) });
  return { address: canonical, from, to, chosenBy, steps, uses: findDeviceUses(canonical, options) };
}

/**
 * Gives a device back to the driver that it had. If a step fails, the earlier ones are undone.
 *
 * @returns the driver that is bound now; undefined for none
 * @throws VfioError `EBUSY` if the device is in use; as {@link bindDriver}
 */
export function releaseDevice(address: string, options: ReleaseOptions = {}): string | undefined {
  const roots = rootsOf(options);
  const plan = planRelease(address, options);
  carryOut(plan, options);
  rmSync(notePath(plan.address, options), { force: true });
  return readLinkName(join(pciDevicePath(plan.address, roots), "driver"));
}
