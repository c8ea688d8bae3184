// Makes the kernel fail the first, the second, the third, ... allocation of every call into the kernel that a piece of
// the library's work makes; fail-nth.test.ts starts it and reads what it prints.
//
// The kernel counts allocations of one thread, whoever asks for them: the engine's too. So they are counted within one
// call at a time, of the addon or of node:fs, and this is a process of its own, without a compiler at run time
// (--jitless), with a young generation that is not collected meanwhile, and with all its ways walked before.
//
// usage: node fail-nth.mjs <work> [address of a device]
import fs, { readdirSync, readlinkSync } from "node:fs";
import { syncBuiltinESMExports } from "node:module";
import { DmaBuffer, Iommufd, OwnedFd, openContainer, VfioError } from "../../dist/index.js";
import { native } from "../../dist/kernel/native.js";
import { resources } from "./resources.mjs";

const [work = "", address = ""] = process.argv.slice(2);
const O_RDWR = 2;
const SIZE = 1 << 15;
// More than any call here takes.
const LIMIT = 1000;
// A page fault of the engine within a call can take the turn of the call's own allocation; twice in a row it has none.
const TRIES = 3;

// The main thread's number is the process's.
const failNth = new OwnedFd(native.open(`/proc/self/task/${process.pid}/fail-nth`, O_RDWR), "fail-nth");
const text = new Uint8Array(16);
const zero = new TextEncoder().encode("0");

const { pread, pwrite } = native;

/** @param {Uint8Array} count in decimal */
function arm(count) {
  pwrite(failNth.number, count, 0);
}

/** Ends it. @returns whether the failure was spent */
function disarm() {
  const length = pread(failNth.number, text, 0);
  // Reading and writing this file allocate, and can fail, too: then the call itself had got through.
  let ended = pwrite(failNth.number, zero, 0);
  if (ended < 0) ended = pwrite(failNth.number, zero, 0);
  if (ended < 0) throw new Error("failing allocations cannot be ended");
  return length === 2 && text[0] === zero[0];
}

/** How many calls the work has made, in which of them an allocation fails, which one, and whether it did. */
let calls = 0;
let chosen = -1;
let count = zero;
let spent = false;

/**
 * Has every function of a module counted, and armed when its turn comes.
 *
 * @param {object} module
 * @param {readonly string[]} names
 */
function watch(module, names) {
  for (const name of names) {
    const original = Reflect.get(module, name);
    const counted = (/** @type {unknown[]} */ ...args) => {
      if (calls++ !== chosen) return Reflect.apply(original, module, args);
      arm(count);
      try {
        return Reflect.apply(original, module, args);
      } finally {
        spent = disarm();
      }
    };
    // realpathSync has a `native`.
    Reflect.set(module, name, Object.assign(counted, original));
  }
}

const memory = DmaBuffer.allocate(SIZE);
const anonymous = DmaBuffer.allocate(SIZE, { backing: "anonymous" });
memory.bytes.fill(1);
anonymous.bytes.fill(1);
const file = memory.backing()?.fd ?? -1;

/** Every request of an address space, without a device. */
function addressSpace() {
  const iommufd = Iommufd.open();
  try {
    const ioas = iommufd.allocIoas();
    const other = iommufd.allocIoas();
    ioas.ranges();
    ioas.allow([{ start: 0x10000n, last: 0xffffffffn }]);
    const iova = ioas.map(anonymous.address, SIZE);
    const byFile = ioas.mapFile(file, 0, SIZE);
    other.copy(ioas, iova, SIZE);
    iommufd.compatIoas = ioas.id;
    iommufd.compatIoas = undefined;
    ioas.unmap(iova, SIZE);
    ioas.unmap(byFile, SIZE);
    ioas.allow([]);
    other.destroy();
    ioas.destroy();
  } finally {
    iommufd.close();
  }
}

/** A container with a device, by the library's whole way. */
function container() {
  const container = openContainer({ mode: /** @type {import("../../dist/index.js").ContainerMode} */ (work) });
  try {
    container.attach(address);
    const first = container.map(memory);
    const second = container.map(anonymous);
    first.unmap();
    second.unmap();
  } finally {
    container.close();
  }
}

const job = work === "address space" ? addressSpace : container;
const sysfs = ["openSync", "readdirSync", "readFileSync", "readlinkSync", "realpathSync", "statSync"];
watch(native, Object.keys(native));
watch(fs, sysfs);
syncBuiltinESMExports();

/** @returns {{ name: string, code: string, request: string, message: string } | undefined} */
function attempt() {
  try {
    job();
    return undefined;
  } catch (error) {
    if (!(error instanceof Error)) throw error;
    return {
      name: error.name,
      code: "code" in error ? String(error.code) : "none",
      request: error instanceof VfioError ? (error.request ?? error.syscall) : "",
      message: error.message,
    };
  }
}

const descriptors = () =>
  readdirSync("/proc/self/fd").flatMap((fd) => {
    try {
      return [readlinkSync(`/proc/self/fd/${fd}`)];
    } catch {
      return [];
    }
  });

/** Everything that must be as it was: this process's things, and that the work can be done. */
function state() {
  const failed = attempt();
  return JSON.stringify({ ...resources(), all: descriptors().length, failed });
}

for (let i = 0; i < 5; i++) {
  disarm();
  state();
}
const before = state();
calls = 0;
const untouched = attempt();
if (untouched !== undefined) throw new Error(`the work fails by itself: ${untouched.message}`);
const total = calls;

/** @type {unknown[]} */
const failures = [];
/** @type {unknown[]} */
const damage = [];
let swept = 0;

/** @returns {{ failed: boolean, over: boolean }} whether the work failed, and whether the call got to its end before */
function fail(/** @type {number} */ call, /** @type {number} */ nth) {
  if (swept++ % 16 === 0) gc?.({ type: "minor" });
  count = new TextEncoder().encode(`${nth}`);
  calls = 0;
  chosen = call;
  spent = false;
  const failure = attempt();
  chosen = -1;
  const over = !spent;
  const after = state();
  if (after !== before) damage.push({ call, nth, failure, before, after });
  if (failure !== undefined) failures.push({ call, nth, ...failure });
  return { failed: failure !== undefined, over };
}

for (let call = 0; call < total; call++) {
  for (let nth = 1; nth <= LIMIT; nth++) {
    let tried = fail(call, nth);
    for (let i = 1; i < TRIES && !tried.failed && !tried.over; i++) tried = fail(call, nth);
    if (tried.over) break;
  }
}
process.stdout.write(JSON.stringify({ swept, failures, damage }));
