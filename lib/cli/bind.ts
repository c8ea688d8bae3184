/**
 * `vfio bind` and `vfio unbind`: giving devices to user space, and back.
 *
 * @module
 */
import type { Command } from "commander";
import { failuresOf } from "../base/run-all.js";
import { withUndoErrors } from "../kernel/files.js";
import {
  type Binding,
  type BindOptions as BindingOptions,
  type BindingPlan,
  bindDriver,
  groupViability,
  planBinding,
  planRelease,
  readPciDevice,
  releaseDevice,
} from "../pci/index.js";
import {
  act,
  addressArgument,
  examples,
  type HostOptions,
  hostOption,
  hostPaths,
  parseAddress,
  remark,
  type Session,
  subcommand,
} from "./command.js";
import { exitCodes } from "./exit-codes.js";
import type { Output } from "./terminal.js";

interface BindOptions extends HostOptions {
  readonly driver: string;
  readonly dryRun?: true;
  readonly force?: true;
}

type UnbindOptions = Omit<BindOptions, "driver">;

function several(text: string, before: readonly string[] | undefined): string[] {
  return [...(before ?? []), parseAddress(text)];
}

/** The subcommand `bind`. */
export function bindCommand(session: Session): Command {
  const command = subcommand(
    session,
    "bind",
    "Bind vfio-pci (or another driver) to devices, so that programs can use them.",
  )
    .addArgument(addressArgument("<address...>").argParser(several))
    .option("--driver <name>", "the driver; none leaves the device without one", "vfio-pci")
    .option("-n, --dry-run", "print each write, and change nothing")
    .option("--force", "take the device even from those who use it: mounted disks, interfaces that are up, programs")
    .addOption(hostOption());
  examples(command, [
    ["vfio bind --dry-run 01:00.0", "what would be written where"],
    ["sudo vfio bind 01:00.0", "take it from its driver, and give it to vfio-pci"],
    ["sudo vfio bind 06:03.0 --driver none", "out of the way of its group"],
  ]);
  return command.action(act(session, bind));
}

/** The subcommand `unbind`. */
export function unbindCommand(session: Session): Command {
  const command = subcommand(session, "unbind", "Give devices back to the drivers that they had before.")
    .addArgument(addressArgument("<address...>").argParser(several))
    .option("-n, --dry-run", "print each write, and change nothing")
    .option("--force", "even if a program has the device open")
    .addOption(hostOption());
  examples(command, [["sudo vfio unbind 01:00.0", "back to its own driver"]]);
  remark(
    command,
    "The former driver is noted in /run/vfio, by vfio bind and by programs that call bindDriver(). A device without a note goes to the driver that the kernel finds for it.",
  );
  return command.action(act(session, unbind));
}

function planJson({ address, from, to, steps, uses }: BindingPlan, done: boolean): Record<string, unknown> {
  return {
    address,
    from: from ?? null,
    to: to ?? null,
    done,
    writes: steps.map(({ path, value }) => ({ path, value })),
    uses: uses.map(({ kind, name, why, fix }) => ({ kind, name, why, fix })),
  };
}

function printDryRun(output: Output, { address, steps, uses }: BindingPlan, force: boolean): void {
  const { colors } = output;
  for (const { path, value } of steps) output.print(`echo ${value === "" ? "''" : value} > ${path}`);
  if (steps.length === 0) output.print(colors.dim(`# ${address}: nothing to write`));
  for (const { why, fix } of uses) {
    output.print(colors.yellow(`# ${address}: ${why}${force ? " (--force)" : `; it would be refused. Fix: ${fix}`}`));
  }
}

/** Whether a dry run's plan would be refused. */
function refused({ uses }: BindingPlan, force: boolean): boolean {
  return uses.length > 0 && !force;
}

const named = (driver: string | undefined) => driver ?? "no driver";

function bind(output: Output, addresses: readonly string[], options: BindOptions): number | undefined {
  const force = options.force === true;
  const paths = hostPaths(options);
  const how = { ...paths, force, driver: options.driver === "none" ? null : options.driver };
  const plans = addresses.map((address) => planBinding(address, how));
  if (options.dryRun === true) {
    for (const plan of plans) printDryRun(output, plan, force);
    output.printJson({ bindings: plans.map((plan) => planJson(plan, false)) });
    return plans.some((plan) => refused(plan, force)) ? exitCodes.busy : undefined;
  }
  const done = bindAll(plans, how).map(({ plan }) => plan);
  for (const { address, from, to, steps } of done) {
    const state = steps.length === 0 ? "has it already" : `was with ${named(from)}`;
    output.print(`${address}: ${output.colors.green(named(to))} (${state})`);
  }
  printObstacles(output, addresses, options);
  output.printJson({ bindings: done.map((plan) => planJson(plan, plan.steps.length > 0)) });
  return undefined;
}

/** Binds all devices, or none. */
function bindAll(plans: readonly BindingPlan[], options: BindingOptions): readonly Binding[] {
  const bindings: Binding[] = [];
  try {
    for (const { address } of plans) bindings.push(bindDriver(address, options));
    return bindings;
  } catch (error) {
    const failures = failuresOf(bindings.reverse().map((binding) => () => binding.restore()));
    const left = bindings.filter(({ active }) => active).map(({ address }) => address);
    throw withUndoErrors(error, failures, `these still have the other driver: ${left.join(", ")}`);
  }
}

/** A group that is not viable is what a newcomer stumbles over next. */
function printObstacles(output: Output, addresses: readonly string[], options: BindOptions): void {
  const paths = hostPaths(options);
  const devices = addresses.map((address) => readPciDevice(address, paths)).filter(({ vfio }) => vfio !== undefined);
  for (const group of new Set(devices.map(({ iommuGroup }) => iommuGroup))) {
    const viability = group === undefined ? undefined : groupViability(group, paths);
    if (viability === undefined || viability.viable) continue;
    for (const { name, driver } of viability.blockers) {
      output.note(`${name} of the same IOMMU group is in the way: it is bound to ${driver}. Fix: vfio bind ${name}`);
    }
  }
}

function unbind(output: Output, addresses: readonly string[], options: UnbindOptions): number | undefined {
  const force = options.force === true;
  const how = { ...hostPaths(options), force };
  const plans = addresses.map((address) => planRelease(address, how));
  if (options.dryRun === true) {
    for (const plan of plans) printDryRun(output, plan, force);
    output.printJson({ bindings: plans.map((plan) => planJson(plan, false)) });
    return plans.some((plan) => refused(plan, force)) ? exitCodes.busy : undefined;
  }
  const results = plans.map((plan) => {
    const driver = plan.steps.length === 0 ? plan.from : releaseDevice(plan.address, how);
    const state =
      plan.steps.length === 0
        ? "was not taken from it"
        : plan.chosenBy === "note"
          ? "as before"
          : "the kernel's choice";
    output.print(`${plan.address}: ${named(driver)} (${state})`);
    return planJson({ ...plan, to: driver }, plan.steps.length > 0);
  });
  output.printJson({ bindings: results });
  return undefined;
}
