/**
 * Errors as people read them: one line with what to do about it, and an exit code for scripts.
 *
 * @module
 */
import { inspect } from "node:util";
import pc from "picocolors";
import { codeOf, messageOf, UnsupportedError, VfioError } from "../base/errors.js";
import type { Reason } from "../base/reasons.js";
import { runAsRoot } from "../kernel/user-namespace.js";
import { exitCodes } from "./exit-codes.js";
import { type Output, wantsColor } from "./terminal.js";

/** A refusal in the command's own words. */
export class CommandError extends Error {
  readonly fix: string;
  readonly exitCode: number;

  constructor(message: string, fix: string, exitCode: number = exitCodes.failed) {
    super(message);
    this.fix = fix;
    this.exitCode = exitCode;
  }
}

/** A file of the user's that could not be opened for writing. */
export function cannotWrite(file: string, error: unknown): CommandError {
  const code = codeOf(error);
  if (code === "EEXIST") return new CommandError(`${file} exists`, "name another file, or replace it with --force");
  if (code === "EACCES" || code === "EROFS") {
    return new CommandError(`${file} cannot be written`, "name a file in a directory of yours", exitCodes.permission);
  }
  return new CommandError(`${file} cannot be written: ${messageOf(error)}`, "name a file in a directory that exists");
}

interface Failure {
  readonly message: string;
  readonly fix: string | undefined;
  readonly code: string | undefined;
  readonly exitCode: number;
}

/** The library speaks of its functions; here it is their commands. */
function asCommands(text: string): string {
  return text
    .replace(/bindDriver\("([^"]+)", \{ driver: null \}\)/g, "vfio bind $1 --driver none")
    .replace(/bindDriver\("([^"]+)", \{ driver: "([^"]+)" \}\)/g, "vfio bind $1 --driver $2")
    .replace(/bindDriver\("([^"]+)"\)/g, "vfio bind $1")
    .replace(/listPciDevices\(\)(, or: lspci -D)?/g, "vfio list")
    .replace(/, with force\b/g, ", with --force")
    .replace(/use hotReset\(\), which resets/g, "use vfio reset --hot, which resets")
    .replace(/\s*\n\s*/g, " ");
}

const permissionCodes = new Set(["EACCES", "EPERM", "EROFS"]);

function exitCodeOf(code: string | undefined, reason?: Reason, syscall = ""): number {
  if (reason === "no-such-device") return exitCodes.noDevice;
  // An ioctl's EPERM is about the device (its group is not viable, interrupts are not remapped), and not about the user.
  if (code !== undefined && permissionCodes.has(code) && syscall !== "ioctl") return exitCodes.permission;
  return code === "EBUSY" ? exitCodes.busy : exitCodes.failed;
}

/** What an error comes to. */
export function failureOf(error: unknown): Failure {
  if (error instanceof CommandError) {
    const { message, fix, exitCode } = error;
    return { message, fix, code: undefined, exitCode };
  }
  if (error instanceof VfioError) {
    const { why, fix, object, path, code, reason, syscall } = error;
    const [firstLine = ""] = error.message.split("\n");
    const subject = object ?? path;
    const message = why === undefined ? firstLine : subject === undefined ? why : `${subject}: ${why}`;
    return {
      message: asCommands(message),
      fix: fix === undefined ? undefined : asCommands(fix),
      code,
      exitCode: exitCodeOf(code, reason, syscall),
    };
  }
  if (error instanceof UnsupportedError) {
    const { why, fix, code } = error;
    return { message: `this package does not work here: ${why}`, fix, code, exitCode: exitCodes.failed };
  }
  if (!(error instanceof Error)) {
    return { message: String(error), fix: undefined, code: undefined, exitCode: exitCodes.failed };
  }
  const code = codeOf(error);
  const usage = code === "ERR_OUT_OF_RANGE" || code === "ERR_INVALID_ARG_TYPE" || code === "ERR_INVALID_ARG_VALUE";
  const permission = code !== undefined && permissionCodes.has(code) ? runAsRoot() : undefined;
  return {
    message: asCommands(error.message),
    fix: permission,
    code,
    exitCode: usage ? exitCodes.usage : exitCodeOf(code),
  };
}

/** Says what went wrong: in one line, or in JSON. Returns the exit code. */
export function reportFailure(name: string, error: unknown, output: Output): number {
  const { message, fix, code, exitCode } = failureOf(error);
  const colors = pc.createColors(wantsColor(output.terminal.stderr, output.terminal));
  const more = exitCode === exitCodes.usage ? `see ${name} --help` : "see the rest with --verbose";
  const hint = fix ?? (output.verbose ? undefined : more);
  output.printJson({ error: { message, fix: fix ?? null, code: code ?? null, exitCode } });
  output.note(`${colors.red(`${name}:`)} ${message}.${hint === undefined ? "" : ` ${colors.bold("Fix:")} ${hint}`}`);
  if (output.verbose) output.note(colors.dim(inspect(error, { depth: 4, colors: false })));
  return exitCode;
}
