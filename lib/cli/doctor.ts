/**
 * `vfio doctor`: what stands between the user and a working device, line by line, with the way out.
 *
 * @module
 */
import type { Command } from "commander";
import type { Attempt, Check, CheckState } from "../doctor/index.js";
import { loaded } from "./attach.js";
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
import { CommandError, failureOf } from "./failure.js";
import { drawFindings } from "./findings.js";
import type { Output } from "./terminal.js";

interface Options extends HostOptions {
  readonly attach?: true;
}

/** The subcommand. */
export function doctorCommand(session: Session): Command {
  const command = subcommand(session, "doctor", "Find out what keeps a device from working, and what to do about it.")
    .addArgument(addressArgument("[address]").argParser(parseAddress))
    .option("--attach", "attach the device too, in every mode; the kernel resets it each time")
    .addOption(hostOption());
  examples(command, [
    ["vfio doctor", "the system: IOMMU, nodes, limits, kernel"],
    ["vfio doctor 01:00.0", "the same, and a device: driver, group, users"],
    ["sudo vfio doctor 01:00.0 --attach", "and the proof"],
  ]);
  remark(command, "Exit code 0: it should work. 1: it would not, and the lines with ✗ say why.");
  return command.action(act(session, doctor));
}

function paint(output: Output, state: CheckState): string {
  const { colors } = output;
  switch (state) {
    case "ok":
      return colors.green("✓");
    case "info":
      return colors.dim("·");
    case "warning":
      return colors.yellow("!");
    case "problem":
      return colors.red("✗");
  }
}

function print(output: Output, checks: readonly Check[]): void {
  const findings = checks.map(({ title, state, found, fix }) => ({
    mark: paint(output, state),
    title,
    // What is well needs no advice, and what is neither well nor bad only where somebody asks for all there is.
    parts: [{ found, fix: state === "info" && !output.verbose ? undefined : fix }],
  }));
  output.print(drawFindings(output, findings));
}

function attemptCheck({ mode, error }: Attempt): Check {
  const failure = error === undefined ? undefined : failureOf(error);
  return {
    id: `attach.${mode}`,
    title: mode,
    state: failure === undefined ? "ok" : "warning",
    found: failure === undefined ? "attached" : failure.message,
    fix: failure?.fix,
  };
}

async function doctor(output: Output, address: string | undefined, options: Options): Promise<number> {
  const { diagnose, tryModes } = await loaded(import("../doctor/index.js"));
  if (options.attach === true && address === undefined) {
    throw new CommandError("--attach needs a device", "vfio doctor <address> --attach", exitCodes.usage);
  }
  const diagnosis = diagnose(address, hostPaths(options));
  const attempts =
    options.attach === true && address !== undefined && diagnosis.works ? tryModes(address, diagnosis.modes) : [];
  const attached = attempts.map(attemptCheck);
  const works = diagnosis.works && (attempts.length === 0 || attempts.some(({ error }) => error === undefined));
  const checks = [...diagnosis.checks, ...attached];
  output.printJson({
    address: diagnosis.address ?? null,
    works,
    modes: diagnosis.modes,
    checks: checks.map(({ id, title, state, found, fix }) => ({ id, title, state, found, fix: fix ?? null })),
  });
  print(output, checks);
  const subject = diagnosis.address ?? "A device";
  const problems = checks.filter(({ state }) => state === "problem").length;
  const { colors } = output;
  output.print(
    works
      ? `\n${colors.green(`${subject} ${attached.length > 0 ? "works" : "should work"}.`)}`
      : `\n${colors.red(`${subject} would not work${problems === 0 ? "" : `: ${problems} problem${problems === 1 ? "" : "s"} to solve`}.`)}`,
  );
  return works ? exitCodes.done : exitCodes.failed;
}
