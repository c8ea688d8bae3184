/**
 * The package's one error class, in the shape of Node's own system errors.
 *
 * Native functions return `-errno`; the TypeScript that called them knows what was asked of which object, so the error
 * is made here, where it can say why and what to do about it.
 *
 * @module
 */
import { constants } from "node:os";
import { getSystemErrorMap, inspect } from "node:util";
import { type Reason, reasonOf } from "./reasons.js";

/** What a {@link VfioError} is made from. */
export interface VfioErrorInit {
  /** The error number, positive or negative; stored negative, as Node does. */
  readonly errno: number;
  /** The system call that failed: `ioctl`, `open`, `mmap`, ... */
  readonly syscall: string;
  /** The ioctl's name where `syscall` is `ioctl`: `VFIO_IOMMU_MAP_DMA`, ... */
  readonly request?: string;
  /** The arguments that matter to a reader. Numbers and bigints are shown in hexadecimal. */
  readonly args?: Readonly<Record<string, number | bigint | string | boolean>>;
  /** The object it happened to: a device's address, a node's path, `container (type1v2)`, ... */
  readonly object?: string;
  /** The path of a file, where one was being opened, read or written. */
  readonly path?: string;
  /** The reason, for programs; left out, the one that the errno usually stands for. */
  readonly reason?: Reason;
  /** One sentence that says why, where the library could find out. */
  readonly why?: string;
  /** One sentence that says what to do about it. */
  readonly fix?: string;
  /** The error underneath, if any. */
  readonly cause?: unknown;
}

/** What an errno means for one call: why, what to do about it, and the reason where the errno has another one. */
export type Meaning = Readonly<Pick<VfioErrorInit, "why" | "fix" | "reason">>;

const nameByErrno = new Map<number, string>();
for (const [name, value] of Object.entries(constants.errno)) {
  // EAGAIN and EWOULDBLOCK, EOPNOTSUPP and ENOTSUP share a number on Linux: keep the name that the kernel documents.
  if (name !== "EWOULDBLOCK" && name !== "ENOTSUP") nameByErrno.set(value, name);
}
// Numbers that neither os.constants nor libuv names and that VFIO, iommufd, KVM or a socket can return.
nameByErrno.set(77, "EBADFD");
nameByErrno.set(109, "ETOOMANYREFS");

/**
 * The name of an error number, `EINVAL` for 22; `E<number>` where nobody has a name for it.
 *
 * @param errno positive or negative
 */
export function errnoName(errno: number): string {
  if (typeof errno !== "number") throw argTypeError("errno", "a number", errno);
  return nameByErrno.get(Math.abs(errno)) ?? `E${Math.abs(errno)}`;
}

// Node makes the map anew for each call, which takes 20 us: a peer that errs a thousand times would have us notice.
let texts: ReturnType<typeof getSystemErrorMap> | undefined;

/** What an error number means, in the C library's words. */
export function errnoText(errno: number): string {
  texts ??= getSystemErrorMap();
  return texts.get(-Math.abs(errno))?.[1] ?? `error ${Math.abs(errno)}`;
}

function show(value: number | bigint | string | boolean): string {
  if (typeof value === "bigint" || (typeof value === "number" && Number.isInteger(value))) {
    return value < 0 ? String(value) : `0x${value.toString(16)}`;
  }
  return String(value);
}

/** Errnos that mean the same whichever call returns them: what the caller thinks of them is beside the point. */
const meansTheSame = new Map([
  [
    constants.errno.EMFILE,
    {
      why: "this process has as many descriptors open as its limit allows",
      fix: "close some, or raise the limit (ulimit -n, LimitNOFILE= in systemd)",
    },
  ],
  [
    constants.errno.ENFILE,
    { why: "the system has as many files open as its limit allows", fix: "raise it: sysctl fs.file-max" },
  ],
]);

/**
 * A refusal by the kernel (or by the library, before the kernel was asked), with what was asked, of what, why it was
 * refused and what to do about it.
 *
 * `code`, `errno` and `syscall` are as in Node's own system errors, so `error.code === "EBUSY"` works as everywhere.
 */
export class VfioError extends Error {
  /** The error's name: `EBUSY`, `EINVAL`, ... */
  readonly code: string;
  /** The error's number, negative, as in Node's own errors. */
  readonly errno: number;
  /** The system call: `ioctl`, `open`, ... */
  readonly syscall: string;
  /** The ioctl's name, where `syscall` is `ioctl`. */
  readonly request: string | undefined;
  /** What was asked, argument by argument. */
  readonly args: Readonly<Record<string, number | bigint | string | boolean>>;
  /** The object it happened to. */
  readonly object: string | undefined;
  /** The file's path, if the error is about a file. */
  readonly path: string | undefined;
  /** The reason, for programs: one of the words in docs/troubleshooting.md, and more exact than `code`. */
  readonly reason: Reason;
  /** Why, where the library could find out. */
  readonly why: string | undefined;
  /** What to do about it. */
  readonly fix: string | undefined;

  constructor(init: VfioErrorInit) {
    const code = errnoName(init.errno);
    const { why, fix } = meansTheSame.get(Math.abs(init.errno)) ?? init;
    const args = Object.entries(init.args ?? {});
    const call = init.request === undefined ? init.syscall : `${init.syscall} ${init.request}`;
    let message = `${code}: ${errnoText(init.errno)}, ${call}`;
    if (args.length > 0) message += `(${args.map(([name, value]) => `${name}=${show(value)}`).join(", ")})`;
    if (init.path !== undefined) message += ` '${init.path}'`;
    if (init.object !== undefined) message += ` on ${init.object}`;
    if (why !== undefined) message += `: ${why}`;
    if (fix !== undefined) message += `\n  fix: ${fix}`;
    super(message, init.cause === undefined ? undefined : { cause: init.cause });
    this.name = "VfioError";
    this.code = code;
    this.errno = -Math.abs(init.errno);
    this.syscall = init.syscall;
    this.request = init.request;
    this.args = init.args ?? {};
    this.object = init.object;
    this.path = init.path;
    this.reason = init.reason ?? reasonOf(Math.abs(init.errno));
    this.why = why;
    this.fix = fix;
  }

  /** A plain object for `JSON.stringify`; bigints become hexadecimal strings. */
  toJSON(): Record<string, unknown> {
    return {
      name: this.name,
      code: this.code,
      errno: this.errno,
      syscall: this.syscall,
      request: this.request,
      args: Object.fromEntries(Object.entries(this.args).map(([k, v]) => [k, typeof v === "bigint" ? show(v) : v])),
      object: this.object,
      path: this.path,
      reason: this.reason,
      why: this.why,
      fix: this.fix,
      message: this.message,
    };
  }
}

/** What was thrown, as an error. */
export function asError(thrown: unknown): Error {
  return thrown instanceof Error ? thrown : new Error(String(thrown));
}

/** What was thrown, in its own words. */
export function messageOf(thrown: unknown): string {
  return asError(thrown).message;
}

/** The `code` of an error, where it has one. */
export function codeOf(error: unknown): string | undefined {
  return error instanceof Error && "code" in error && typeof error.code === "string" ? error.code : undefined;
}

/** A call that needs the native addon, in a process that cannot have it. */
export class UnsupportedError extends Error {
  readonly code = "ERR_VFIO_UNSUPPORTED";
  /** Why there is no addon. */
  readonly why: string;
  /** What to do about it. */
  readonly fix: string;

  constructor(why: string, fix: string) {
    super(`vfio does not work here: ${why}\n  fix: ${fix}`);
    this.name = "UnsupportedError";
    this.why = why;
    this.fix = fix;
  }
}

/** An argument of the wrong type, as Node's own `ERR_INVALID_ARG_TYPE`. */
export function argTypeError(name: string, expected: string, actual: unknown): TypeError {
  return Object.assign(
    new TypeError(`The "${name}" argument must be ${expected}. Received ${inspect(actual, { depth: 0 })}`),
    { code: "ERR_INVALID_ARG_TYPE" },
  );
}

/**
 * An argument of the right type with a value that there is not, as Node's own `ERR_INVALID_ARG_VALUE`.
 *
 * @param hint a sentence that comes last, with the full stop before it
 */
export function argValueError(name: string, expected: string, actual: unknown, hint = ""): TypeError {
  return Object.assign(
    new TypeError(`The "${name}" argument must be ${expected}. Received ${inspect(actual, { depth: 0 })}${hint}`),
    { code: "ERR_INVALID_ARG_VALUE" },
  );
}

/** An argument out of range or of an impossible form, as Node's own `ERR_OUT_OF_RANGE`. */
export function outOfRangeError(name: string, expected: string, actual: unknown): RangeError {
  return Object.assign(new RangeError(`"${name}" must be ${expected}. Received ${inspect(actual, { depth: 0 })}`), {
    code: "ERR_OUT_OF_RANGE",
  });
}

/** A call on something that is closed, detached or otherwise not in the state for it: `ERR_INVALID_STATE`. */
export function invalidStateError(message: string): Error {
  return Object.assign(new Error(message), { code: "ERR_INVALID_STATE" });
}

/**
 * Throws what a native call was refused with, or returns its result.
 *
 * @param status a value >= 0, or `-errno`
 * @param describe what was asked, of what and why it failed; called only for a refusal
 */
export function check(status: number, describe: (errno: number) => Omit<VfioErrorInit, "errno">): number {
  if (status < 0) throw new VfioError({ ...describe(-status), errno: status });
  return status;
}
