/**
 * A hand-over from a process to itself: the program is replaced in place, by `execve`, and keeps its pid and its descriptors.
 *
 * Everything goes in one sealed memfd, whose number is in the environment:
 *
 * ```text
 *  8 bytes   "VFLUEXEC"
 *  u32       version
 *  u32       number of descriptors
 *  u32       length of the manifest
 *  u32       length of the last part
 *  i32 each  the descriptors, by their numbers, which stay what they are
 *  bytes     the manifest, then the last part
 * ```
 *
 * Numbers are little-endian. Descriptors stay close-on-exec until the exec itself, so that no child process started meanwhile
 * inherits a device, and are so again if it fails.
 *
 * @module
 */

import { accessSync, constants as fs, fstatSync, readlinkSync, statSync } from "node:fs";
import { constants } from "node:os";
import { join } from "node:path";
import { isMainThread } from "node:worker_threads";
import { checkObject, checkOptions, checkString, checkStrings, knownOptions, optionsOf } from "../base/arguments.js";
import { check, invalidStateError, VfioError } from "../base/errors.js";
import { array, bytes, i32, struct, u32 } from "../base/struct.js";
import { OwnedFd } from "../kernel/fd.js";
import { native } from "../kernel/native.js";
import { MFD_ALLOW_SEALING } from "../memory/memory-file.js";
import type { CarrierWait, IncomingCarrier, OutgoingCarrier, Parcel, ReceivedParcel } from "./carrier.js";
import { type MessageLimits, messageLimits } from "./message-socket.js";

const { EBADF, EBADMSG, EMSGSIZE, ENOENT, EOPNOTSUPP } = constants.errno;

/** The environment variable that names the memfd. */
const VARIABLE = "VFIO_LIVE_UPDATE";
const MAGIC = new TextEncoder().encode("VFLUEXEC");
const VERSION = 1;
/** The beginning of the memfd. After it come the numbers of the descriptors, the manifest and the late part. */
const header = struct({ magic: bytes(8), version: u32, count: u32, manifest: u32, late: u32 });
const HEADER = header.size;
/** The numbers of the descriptors. */
const numbersOf = (count: number) => array(i32, count);
// linux/memfd.h, linux/fcntl.h: no more seals, and no other size or content from then on.
const SEALS = 0xf;
// What fs.nr_open allows one process as the kernel comes.
const MAX_OPEN = 1_048_576;
const LIMITS: MessageLimits = { bytes: 256 * 1024 * 1024, descriptors: 16_384 };

/** What is executed. */
export interface ExecCarrierOptions {
  /** A path, or a name that is looked for in PATH. By default the Node that runs (`process.execPath`). */
  readonly command?: string;
  /** Without the name of the command. By default those that this process was started with. */
  readonly args?: readonly string[];
  /** By default `process.env`, as it is at the end. */
  readonly env?: Readonly<Record<string, string | undefined>>;
}

const carrierOptions = knownOptions<ExecCarrierOptions>({ command: checkString, args: checkStrings, env: checkObject });
const incomingOptions = knownOptions<IncomingExecOptions>({ limits: optionsOf(messageLimits) });

/**
 * Opens the old program's side of a hand-over by exec in place.
 *
 * An exec ends every thread of the process where it stands: no `exit` event, no `finally`, and what a stream of the program holds
 * in its buffers is lost. `process.stdout` and `process.stderr` hold nothing, since Node writes to them synchronously on Linux. A
 * channel to a parent (`child_process.fork`) is closed. The new program must call {@link incomingExec}.
 */
export function execInPlace(options: ExecCarrierOptions = {}): OutgoingCarrier {
  checkOptions("options", options, carrierOptions);
  return new ExecInPlace(options);
}

/** The limits of what {@link incomingExec} takes. */
export interface IncomingExecOptions {
  /** By default 256 MiB for each part, and 16,384 descriptors. */
  readonly limits?: Partial<MessageLimits>;
}

/**
 * The successor's side of a hand-over by exec in place, or undefined if this program was not started by one.
 *
 * To be called early, before the program starts child processes: until then they would inherit the devices. The variable
 * `VFIO_LIVE_UPDATE` is taken out of the environment.
 *
 * @throws VfioError EBADF or EBADMSG if the variable or what it names is not from a hand-over; the descriptors are then closed.
 *   EMSGSIZE if it is larger than the limits, EOPNOTSUPP if a later version of the package wrote it
 */
export function incomingExec(options: IncomingExecOptions = {}): IncomingCarrier | undefined {
  checkOptions("options", options, incomingOptions);
  const value = process.env[VARIABLE];
  if (value === undefined) return undefined;
  delete process.env[VARIABLE];
  const number = /^\d{1,9}$/.test(value) ? Number(value) : -1;
  // Nothing but a sealed memfd is touched: a stale variable may name a descriptor of Node's own.
  const seals = number > 2 ? native.getSeals(number) : -1;
  if (seals < 0 || (seals & SEALS) !== SEALS) {
    throw new VfioError({
      errno: EBADF,
      syscall: "fcntl",
      object: `${VARIABLE}=${value}`,
      why: "it is not the number of a sealed memfd, as a hand-over leaves it",
      fix: "let only a hand-over set the variable",
    });
  }
  const memfd = OwnedFd.adopt(number, "the memfd of a hand-over");
  try {
    return new ExecedHere(readParcel(memfd, { ...LIMITS, ...options.limits }));
  } finally {
    memfd.close();
  }
}

/** The file that a command names, as `execvp` finds it; undefined if there is none. */
function findCommand(command: string): string | undefined {
  if (command.includes("/")) return isFile(command) ? command : undefined;
  const found = (process.env.PATH ?? "/usr/bin:/bin").split(":").map((directory) => join(directory || ".", command));
  return found.find((path) => isFile(path) && isExecutable(path));
}

function isFile(path: string): boolean {
  try {
    return statSync(path).isFile();
  } catch {
    return false;
  }
}

function isExecutable(path: string): boolean {
  try {
    accessSync(path, fs.X_OK);
    return true;
  } catch {
    return false;
  }
}

class ExecInPlace implements OutgoingCarrier {
  readonly name = "exec";
  readonly #command: string;
  readonly #options: ExecCarrierOptions;
  #parcel: Parcel | undefined;
  #memfd: OwnedFd | undefined;
  readonly #copies: OwnedFd[] = [];

  constructor(options: ExecCarrierOptions) {
    this.#options = options;
    this.#command = options.command ?? process.execPath;
  }

  blockers(): readonly { readonly why: string; readonly fix: string }[] {
    const blockers: { why: string; fix: string }[] = [];
    if (!isMainThread) {
      blockers.push({
        why: "this is a worker thread: an exec would end the main thread and every other worker where they stand",
        fix: "hand over from the main thread, or by socket",
      });
    }
    const found = findCommand(this.#command);
    if (found === undefined) {
      blockers.push({
        why: `there is no command '${this.#command}'`,
        fix: "give the path of the new program (command)",
      });
    } else if (!isExecutable(found)) {
      blockers.push({
        why: `'${found}' may not be executed by this process`,
        fix: `make it executable (chmod +x ${found})`,
      });
    }
    return blockers;
  }

  async prepare({ manifest, descriptors }: Parcel, { signal }: CarrierWait): Promise<void> {
    signal.throwIfAborted();
    const numbers = new Set<number>();
    for (const fd of descriptors) {
      // Each needs a number of its own, which is not one of the new program's stdio.
      numbers.add(fd > 2 && !numbers.has(fd) ? fd : this.#copy(fd));
    }
    this.#parcel = { manifest, descriptors: [...numbers] };
  }

  async transfer(late: Uint8Array, { signal }: CarrierWait): Promise<void> {
    signal.throwIfAborted();
    if (this.#parcel === undefined) throw invalidStateError("transfer comes after prepare");
    this.#memfd = writeParcel(this.#parcel, late);
  }

  /** Does not return, or throws and has changed nothing. */
  commit(): void {
    if (this.#parcel === undefined || this.#memfd === undefined) throw invalidStateError("commit comes after transfer");
    const { args = [...process.execArgv, ...process.argv.slice(1)], env = process.env } = this.#options;
    const environment = Object.entries({ ...env, [VARIABLE]: String(this.#memfd.number) }).flatMap(([name, value]) =>
      value === undefined ? [] : [`${name}=${value}`],
    );
    const path = findCommand(this.#command) ?? this.#command;
    // Stdio, too: Node has made it close-on-exec.
    const kept = [0, 1, 2, this.#memfd.number, ...this.#parcel.descriptors];
    const before: [fd: number, closeOnExec: boolean][] = [];
    try {
      for (const fd of kept) {
        const flag = native.setCloseOnExec(fd, false);
        // A program may have closed its stdio.
        if (flag === -EBADF && fd <= 2) continue;
        check(flag, () => ({ syscall: "fcntl", args: { fd } }));
        before.push([fd, flag === 1]);
      }
      check(native.execve(path, [this.#command, ...args], environment), (errno) => ({
        syscall: "execve",
        path,
        ...(errno === ENOENT && findCommand(this.#command) !== undefined
          ? { why: "the interpreter that the file names is not there" }
          : {}),
      }));
    } finally {
      for (const [fd, closeOnExec] of before) native.setCloseOnExec(fd, closeOnExec);
    }
  }

  #copy(fd: number): number {
    const copy = new OwnedFd(
      check(native.dup(fd), () => ({ syscall: "dup", args: { fd } })),
      `copy of descriptor ${fd}`,
    );
    this.#copies.push(copy);
    return copy.number;
  }

  released(): void {}

  async acknowledged(): Promise<Uint8Array> {
    throw invalidStateError("an exec in place is not acknowledged: whoever could hear it is gone");
  }

  abort(): void {
    this.close();
  }

  close(): void {
    this.#parcel = undefined;
    this.#memfd?.close();
    this.#memfd = undefined;
    for (const copy of this.#copies.splice(0)) copy.close();
  }
}

function writeParcel({ manifest, descriptors }: Parcel, late: Uint8Array): OwnedFd {
  const count = descriptors.length;
  const numbers = numbersOf(count);
  const view = new DataView(new ArrayBuffer(HEADER + numbers.size));
  header.write(view, 0, {
    magic: MAGIC,
    version: VERSION,
    count,
    manifest: manifest.byteLength,
    late: late.byteLength,
  });
  numbers.write(view, HEADER, descriptors);
  const head = new Uint8Array(view.buffer);
  const memfd = new OwnedFd(
    check(native.memfdCreate("vfio-live-update", MFD_ALLOW_SEALING), () => ({ syscall: "memfd_create" })),
    "the memfd of a hand-over",
  );
  try {
    let at = 0;
    for (const part of [head, manifest, late]) at += writeAll(memfd, part, at);
    check(native.addSeals(memfd.number, SEALS), () => ({ syscall: "fcntl", request: "F_ADD_SEALS" }));
    return memfd;
  } catch (error) {
    memfd.close();
    throw error;
  }
}

function writeAll(file: OwnedFd, bytes: Uint8Array, position: number): number {
  for (let at = 0; at < bytes.byteLength; ) {
    at += check(native.pwrite(file.number, bytes.subarray(at), position + at), () => ({
      syscall: "pwrite",
      object: file.label,
    }));
  }
  return bytes.byteLength;
}

function readAll(file: OwnedFd, bytes: Uint8Array, position: number): Uint8Array {
  for (let at = 0; at < bytes.byteLength; ) {
    at += check(native.pread(file.number, bytes.subarray(at), position + at), () => ({
      syscall: "pread",
      object: file.label,
    }));
  }
  return bytes;
}

interface Carried {
  readonly manifest: Uint8Array;
  readonly late: Uint8Array;
  readonly descriptors: readonly OwnedFd[];
}

function readParcel(memfd: OwnedFd, limits: MessageLimits): Carried {
  const refuse = (errno: number, why: string): VfioError =>
    new VfioError({ errno, syscall: "execve", object: memfd.label, why });
  const { size } = fstatSync(memfd.number);
  const head = readAll(memfd, new Uint8Array(Math.min(size, HEADER)), 0);
  const { magic, version, count, manifest, late } = header.decode(head, ({ length }) =>
    refuse(EBADMSG, `it has ${length} bytes`),
  );
  if (MAGIC.some((byte, index) => magic[index] !== byte)) throw refuse(EBADMSG, "it is not part of a hand-over");
  const sizes = `${count} descriptors, ${manifest} and ${late} bytes`;
  // The list of descriptors stands where it is in every version: they are closed also where nothing else is understood.
  if (count > MAX_OPEN || HEADER + 4 * count > size)
    throw refuse(EBADMSG, `it says that it has ${sizes}, and has ${size} in all`);
  const { right, wrong } = takeDescriptors(memfd, count);
  try {
    if (version !== VERSION) {
      throw refuse(EOPNOTSUPP, `it is of version ${version}, and this version of the package knows version ${VERSION}`);
    }
    if (count > limits.descriptors || manifest > limits.bytes || late > limits.bytes) {
      throw refuse(EMSGSIZE, `it has ${sizes}, of which this side takes ${limits.descriptors} and ${limits.bytes}`);
    }
    if (size !== HEADER + 4 * count + manifest + late) {
      throw refuse(EBADMSG, `it says that it has ${sizes}, and has ${size} in all`);
    }
    if (wrong.length > 0) {
      throw refuse(EBADMSG, `it lists numbers that are no descriptors of a hand-over: ${wrong.slice(0, 8).join(", ")}`);
    }
    const at = HEADER + 4 * count;
    return {
      manifest: readAll(memfd, new Uint8Array(manifest), at),
      late: readAll(memfd, new Uint8Array(late), at + manifest),
      descriptors: right,
    };
  } catch (error) {
    for (const each of right) each.close();
    throw error;
  }
}

/** The descriptors of the list, close-on-exec again, and the numbers that cannot be any. */
function takeDescriptors(memfd: OwnedFd, count: number): { right: OwnedFd[]; wrong: number[] } {
  const numbers = numbersOf(count);
  const view = new DataView(readAll(memfd, new Uint8Array(numbers.size), HEADER).buffer);
  const right = new Map<number, OwnedFd>();
  const wrong: number[] = [];
  for (const fd of numbers.read(view, 0)) {
    if (fd <= 2 || fd === memfd.number || right.has(fd) || isRuntimes(fd)) wrong.push(fd);
    else if (native.adopt(fd) < 0) wrong.push(fd);
    else right.set(fd, new OwnedFd(fd, `descriptor ${fd} of the hand-over`));
  }
  return { right: [...right.values()], wrong };
}

/** Whether it is what only an event loop has: to close it would be the end of this one. */
function isRuntimes(fd: number): boolean {
  try {
    return /^anon_inode:\[(eventpoll|io_uring)\]$/.test(readlinkSync(`/proc/self/fd/${fd}`));
  } catch {
    return false;
  }
}

class ExecedHere implements IncomingCarrier {
  readonly name = "exec";
  readonly #carried: Carried;
  #received = false;

  constructor(carried: Carried) {
    this.#carried = carried;
  }

  async receive({ signal }: CarrierWait): Promise<ReceivedParcel> {
    signal.throwIfAborted();
    if (this.#received) throw invalidStateError("a hand-over is received once");
    this.#received = true;
    return { manifest: this.#carried.manifest, descriptors: this.#carried.descriptors };
  }

  async ready(): Promise<Uint8Array> {
    return this.#carried.late;
  }

  async taken(): Promise<void> {}

  async released(): Promise<void> {}

  done(): void {}

  fail(): void {}

  close(): void {
    if (this.#received) return;
    this.#received = true;
    for (const each of this.#carried.descriptors) each.close();
  }
}
