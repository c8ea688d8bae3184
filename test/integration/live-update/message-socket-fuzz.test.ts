/**
 * A hostile peer: valid conversations with packets changed, left out, repeated, and moved, and with descriptors where none belong.
 * Whatever comes, every wait ends once the peer is gone, and no descriptor stays open.
 */
import { expect, it, vi } from "vitest";
import { VfioError } from "../../../lib/base/errors.js";
import { OwnedFd } from "../../../lib/kernel/fd.js";
import { native } from "../../../lib/kernel/native.js";
import type { UnixSocket } from "../../../lib/kernel/unix-socket.js";
import type { IncomingCarrier, OutgoingCarrier } from "../../../lib/live-update/carrier.js";
import { socketFromOldProcess, socketToSuccessor } from "../../../lib/live-update/socket-carrier.js";
import { Prng } from "../../unit/prng.js";
import { drain, hello, KINDS, message, openDescriptors, packet, pair, TYPES, takeAll } from "./wire.js";

// Thousands of conversations, on machines that may have other things to do.
vi.setConfig({ testTimeout: 60_000 });

interface Said {
  bytes: Uint8Array;
  descriptors: number[];
}

const limits = { bytes: 200_000, descriptors: 600 };
const wait = { signal: new AbortController().signal };

/** What a good successor says when the word has been given, and not before. */
const lastWord: Said = { bytes: message("done", new Uint8Array(50)), descriptors: [] };

/** All that a good old process says, if it does not wait for answers. */
function goodOldProcess(pidfd: number, fd: number): Said[] {
  const many = (count: number) => Array.from({ length: count }, () => fd);
  return [
    { bytes: hello("old"), descriptors: [] },
    { bytes: packet({ kind: 1, type: TYPES.process, first: 0, second: 1 }), descriptors: [] },
    { bytes: packet({ kind: 2, first: 0, second: 1 }), descriptors: [pidfd] },
    { bytes: packet({ kind: 1, type: TYPES.parcel, first: 70_000, second: 300 }), descriptors: [] },
    { bytes: packet({ kind: 2, first: 0, second: 253 }), descriptors: many(253) },
    { bytes: packet({ kind: 2, first: 253, second: 47 }), descriptors: many(47) },
    { bytes: packet({ kind: 3, first: 0, second: 65_520, payload: new Uint8Array(65_520) }), descriptors: [] },
    { bytes: packet({ kind: 3, first: 65_520, second: 4480, payload: new Uint8Array(4480) }), descriptors: [] },
    { bytes: message("frozen", new Uint8Array(100)), descriptors: [] },
    { bytes: message("commit"), descriptors: [] },
    { bytes: message("released"), descriptors: [] },
  ];
}

function goodSuccessor(): Said[] {
  return [
    { bytes: hello("successor"), descriptors: [] },
    { bytes: packet({ kind: KINDS.acknowledgement, first: 1 }), descriptors: [] },
    { bytes: packet({ kind: KINDS.acknowledgement, first: 253 }), descriptors: [] },
    { bytes: packet({ kind: KINDS.acknowledgement, first: 300 }), descriptors: [] },
    { bytes: message("ready"), descriptors: [] },
    { bytes: message("taken"), descriptors: [] },
  ];
}

function mutate(prng: Prng, said: Said[], fds: readonly number[]): void {
  const at = prng.below(said.length);
  const each = said[at];
  if (each === undefined) return;
  switch (prng.below(9)) {
    case 0:
      said.splice(at, 1);
      break;
    case 1:
      said.splice(at, 0, { ...each });
      break;
    case 2:
      said.splice(prng.below(said.length), 0, ...said.splice(at, 1));
      break;
    case 3:
      each.descriptors = Array.from({ length: prng.pick([1, 2, 252, 253]) }, () => prng.pick(fds));
      break;
    case 4:
      each.descriptors = each.descriptors.slice(0, prng.below(each.descriptors.length + 1));
      break;
    case 5:
      each.bytes = each.bytes.slice(0, prng.below(each.bytes.length + 1));
      break;
    case 6: {
      // A field of the header, where most of the meaning is.
      each.bytes = each.bytes.slice();
      const field = 2 * prng.below(8);
      if (field + 1 >= each.bytes.length) break;
      each.bytes[field] = prng.pick([0, 1, 2, 3, 4, 5, 8, 127, 255, prng.below(256)]);
      if (prng.oneIn(2)) each.bytes[field + 1] = prng.below(256);
      break;
    }
    case 7: {
      each.bytes = each.bytes.slice();
      const index = prng.below(Math.max(1, each.bytes.length));
      if (index < each.bytes.length) each.bytes[index] = prng.below(256);
      break;
    }
    default:
      said.splice(at, 0, {
        bytes: new Uint8Array(prng.pick([0, 1, 15, 16, 17, 4000, 65_536, 65_537])).map(() => prng.below(256)),
        descriptors: prng.oneIn(2) ? [prng.pick(fds)] : [],
      });
  }
}

/** Says everything, and takes what comes meanwhile; the other side may close at any time. */
async function speak(socket: UnixSocket, said: readonly Said[]): Promise<void> {
  try {
    for (const { bytes, descriptors } of said) {
      while (socket.trySend(bytes, descriptors) === 0 && bytes.length > 0) {
        takeAll(socket);
        await socket.writable();
      }
    }
    takeAll(socket);
  } catch (error) {
    if (!(error instanceof VfioError)) throw error;
  }
}

async function successorSide(socket: UnixSocket): Promise<void> {
  let carrier: IncomingCarrier | undefined;
  let received: readonly OwnedFd[] = [];
  try {
    carrier = await socketFromOldProcess({ socket }, { limits });
    ({ descriptors: received } = await carrier.receive(wait));
    await carrier.ready(wait);
    await carrier.taken(wait);
    await carrier.released(wait);
    carrier.done(new Uint8Array(10));
  } finally {
    carrier?.fail("the test is over");
    for (const each of received) each.close();
    carrier?.close();
  }
}

async function oldSide(socket: UnixSocket, fd: number): Promise<void> {
  let carrier: OutgoingCarrier | undefined;
  try {
    carrier = await socketToSuccessor({ socket }, { limits });
    const descriptors = Array.from({ length: 300 }, () => fd);
    await carrier.prepare({ manifest: new Uint8Array(70_000), descriptors }, wait);
    await carrier.transfer(new Uint8Array(100), wait);
    carrier.commit();
    carrier.released();
    await carrier.acknowledged(wait);
  } finally {
    carrier?.abort("the test is over");
    carrier?.close();
  }
}

it.each(["old process", "successor"] as const)("a hostile %s leaks nothing and hangs nobody", async (hostile) => {
  const only = process.env.SEED;
  const seeds = only === undefined ? Array.from({ length: 1500 }, (_, i) => i + 1) : [Number(only)];
  const counter = new OwnedFd(native.eventfd(), "eventfd");
  const pidfd = new OwnedFd(native.pidfdOpen(process.pid), "pidfd");
  const fds = [counter.number, pidfd.number, 0, 1, 2];
  const ends = new Map<string, number>();
  // What the runtime opens at its first use is no leak.
  const before = openDescriptors();
  for (const seed of seeds) {
    const prng = new Prng(seed);
    const said = hostile === "old process" ? goodOldProcess(pidfd.number, counter.number) : goodSuccessor();
    // The first is left as it is: it must succeed.
    if (seed > 1) for (let changes = prng.oneIn(3) ? 3 : 1; changes > 0; changes--) mutate(prng, said, fds);
    const [theirs, ours] = pair();
    const done = hostile === "old process" ? successorSide(ours) : oldSide(ours, counter.number);
    const outcome = done.then(
      () => "done",
      (error: unknown) => {
        if (error instanceof VfioError) return error.code;
        throw new Error(`with SEED=${seed}`, { cause: error });
      },
    );
    await speak(theirs, said);
    // Answers are still taken, and a conversation that is good as far as it goes waits for more: until the peer goes away.
    await drain(theirs);
    if (hostile === "successor") await speak(theirs, [lastWord]);
    await drain(theirs);
    theirs.close();
    const code = await outcome;
    ends.set(code, (ends.get(code) ?? 0) + 1);
    expect(openDescriptors(), `with SEED=${seed}`).toBe(before);
  }
  if (only === undefined) {
    expect(ends.get("done")).toBeGreaterThan(0);
    expect(ends.get("EPROTO")).toBeGreaterThan(500);
  }
  counter.close();
  pidfd.close();
});
