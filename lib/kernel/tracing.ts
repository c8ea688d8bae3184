/**
 * Tracing: while somebody listens, the addon's functions are replaced by ones that tell of each call. While nobody does,
 * they are the addon's own, and a call costs what it always did.
 *
 * @module
 */
import { type Channel, channel } from "node:diagnostics_channel";
import { debuglog } from "node:util";
import { errnoName, errnoText } from "../base/errors.js";
import { formatCall } from "./call-format.js";
import { type ArgumentSpec, type BatchSpec, type CallSpec, nativeCalls } from "./calls.js";
import type { Native } from "./contract.js";
import { writeLine } from "./line.js";
import { CALL_CHANNEL, isTracedCall, REGISTER_CHANNEL, type TracedArgument, type TracedCall } from "./traced-call.js";
import type { Shown } from "./values.js";

// Held here, since Node forgets a channel that has no subscribers and that nobody holds.
const calls = channel(CALL_CHANNEL);
const registers = channel(REGISTER_CHANNEL);

/** Lets a listener's own calls through: it would never come back. */
let telling = false;

function tell(on: Channel, call: TracedCall): void {
  telling = true;
  try {
    on.publish(call);
  } finally {
    telling = false;
  }
}

function isScalar(value: unknown): value is number | bigint | string | boolean {
  return ["number", "bigint", "string", "boolean"].includes(typeof value);
}

function showArgument([name, show]: ArgumentSpec, value: unknown, shown: Shown): TracedArgument {
  return { name, text: show(value, shown), ...(isScalar(value) ? { value } : {}) };
}

/** A negative result is `-errno`, on its own or as an answer's status. */
function errnoOf(result: unknown): number | undefined {
  if (typeof result === "number") return result < 0 ? -result : undefined;
  if (typeof result !== "object" || result === null || !("status" in result)) return undefined;
  return errnoOf(result.status);
}

/** What a result says of itself. */
function outcome(spec: CallSpec, result: unknown, shown: Shown): Pick<TracedCall, "result" | "answer" | "error"> {
  const errno = errnoOf(result);
  if (errno !== undefined) {
    const error = errnoName(errno);
    return { result: undefined, answer: `-1 ${error} (${errnoText(errno)})`, error };
  }
  const value = typeof result === "number" || typeof result === "bigint" ? result : undefined;
  return { result: value, answer: spec.result(result, shown), error: undefined };
}

type Timing = Pick<TracedCall, "start" | "duration" | "batch">;

/** What is known of a call before it is made; the function completes it. Descriptors are looked at now: it may close them. */
function describe(spec: CallSpec, shown: Shown): (result: unknown, timing: Timing) => TracedCall {
  const { args } = shown;
  const { syscall, request, structure } = spec;
  const before = spec.args.map((each, index) =>
    each[2] === "filled" ? undefined : showArgument(each, args[index], shown),
  );
  return (result, timing) => ({
    syscall,
    request: typeof request === "function" ? request(args) : request,
    args: spec.args.map((each, index) => before[index] ?? showArgument(each, args[index], shown)),
    structure,
    ...outcome(spec, result, shown),
    ...timing,
  });
}

type Invoke = (args: readonly unknown[]) => unknown;

function traced(on: Channel, spec: CallSpec, invoke: Invoke, addressOf: Shown["addressOf"]): Invoke {
  return (args) => {
    const complete = describe(spec, { args, addressOf });
    const start = performance.now();
    const end = (result: unknown) => {
      tell(on, complete(result, { start, duration: performance.now() - start, batch: 1 }));
      return result;
    };
    if (spec.ends) tell(on, { ...complete(0, { start, duration: 0, batch: 1 }), result: undefined, answer: "?" });
    const result = invoke(args);
    return result instanceof Promise ? result.then(end) : end(result);
  };
}

function tracedBatch(on: Channel, spec: BatchSpec, invoke: Invoke, addressOf: Shown["addressOf"]): Invoke {
  return (args) => {
    const members = spec.split(args).flatMap(({ name, args: each }) => {
      const member = nativeCalls[name];
      return member.of === "kernel" ? [{ args: each, complete: describe(member, { args: each, addressOf }) }] : [];
    });
    const start = performance.now();
    const made = invoke(args);
    const errno = spec.failure(args);
    const asked = members.slice(0, Number(made) + (errno === 0 ? 0 : 1));
    const duration = (performance.now() - start) / Math.max(1, asked.length);
    for (const [index, { args: each, complete }] of asked.entries()) {
      const result = index === made ? -errno : spec.answer(each);
      tell(on, complete(result, { start: start + index * duration, duration, batch: members.length }));
    }
    return made;
  };
}

function wrap(native: Native, on: Channel, spec: CallSpec | BatchSpec, own: unknown): unknown {
  if (typeof own !== "function") return own;
  const invoke: Invoke = (args) => Reflect.apply(own, native, args);
  const addressOf: Shown["addressOf"] = (mapping) => Reflect.apply(native.mappingAddress, native, [mapping]);
  const instead = spec.of === "batch" ? tracedBatch(on, spec, invoke, addressOf) : traced(on, spec, invoke, addressOf);
  return (...args: readonly unknown[]) => (telling ? invoke(args) : instead(args));
}

/** Replaces functions in `native` while a channel has subscribers. */
function offer(native: Native, on: Channel, told: readonly (CallSpec | BatchSpec)["of"][]): void {
  let replaced: ReadonlyMap<string, unknown> | undefined;

  const update = () => {
    if (on.hasSubscribers === (replaced !== undefined)) return;
    if (replaced !== undefined) {
      for (const [name, own] of replaced) Reflect.set(native, name, own);
      replaced = undefined;
      return;
    }
    const before = new Map<string, unknown>();
    for (const [name, spec] of Object.entries(nativeCalls)) {
      if (spec.of === "process" || !told.includes(spec.of)) continue;
      const own: unknown = Reflect.get(native, name);
      before.set(name, own);
      Reflect.set(native, name, wrap(native, on, spec, own));
    }
    replaced = before;
  };

  // Node tells nobody that a channel got its first subscriber. A look at `hasSubscribers` in each call would cost all who
  // never trace, so the channel itself tells: its methods are these here, around its own or another copy's of this package.
  for (const method of ["subscribe", "unsubscribe"] as const) {
    const outer: unknown = Object.getOwnPropertyDescriptor(on, method)?.value;
    Object.defineProperty(on, method, {
      configurable: true,
      value: (...args: readonly unknown[]): unknown => {
        // A channel changes its prototype with its first subscriber.
        const inner: unknown = outer ?? Reflect.get(Object.getPrototypeOf(on), method);
        const answer: unknown = typeof inner === "function" ? Reflect.apply(inner, on, args) : undefined;
        update();
        return answer;
      },
    });
  }
  update();
}

/** Prints what a channel tells, as `NODE_DEBUG` does. */
function print(message: unknown): void {
  if (isTracedCall(message)) writeLine(2, `VFIO ${process.pid}: ${formatCall(message)}`);
}

/** Makes an addon's functions ones that can be traced, and begins where `NODE_DEBUG` or a subscriber wants it. */
export function offerTracing(native: Native): void {
  offer(native, calls, ["kernel", "batch"]);
  offer(native, registers, ["register"]);
  if (debuglog("vfio").enabled) calls.subscribe(print);
  if (debuglog("vfio-register").enabled) registers.subscribe(print);
}
