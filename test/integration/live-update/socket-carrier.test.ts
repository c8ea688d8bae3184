/** Hand-overs by socket between processes: as they should be, and with either side killed, stopped or unwilling at every step. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as delay, setImmediate as turn } from "node:timers/promises";
import { afterAll, afterEach, beforeAll, describe, expect, it, vi } from "vitest";
import type { OwnedFd } from "../../../lib/kernel/fd.js";
import { native } from "../../../lib/kernel/native.js";
import { UnixListener, type UnixSocket } from "../../../lib/kernel/unix-socket.js";
import type { IncomingCarrier, OutgoingCarrier } from "../../../lib/live-update/carrier.js";
import { socketFromOldProcess, socketToSuccessor } from "../../../lib/live-update/socket-carrier.js";
import { Prng } from "../../unit/prng.js";
import { Peer } from "./peer.js";
import { drain, hello, introduceOldProcess, message, openDescriptors, packet, pair, TYPES } from "./wire.js";

// Processes start and end, on machines that may have other things to do.
vi.setConfig({ testTimeout: 60_000 });

const wait = { signal: new AbortController().signal };
const encode = (text: string) => new TextEncoder().encode(text);
const decode = (bytes: Uint8Array) => new TextDecoder().decode(bytes);

let directory = "";
beforeAll(() => {
  directory = mkdtempSync(join(tmpdir(), "vfio-carrier-"));
});
afterAll(() => rmSync(directory, { recursive: true }));

const cleanup: (() => unknown)[] = [];
afterEach(async () => {
  for (const each of cleanup.splice(0).reverse()) await each();
});

/** A peer at the other end of a pair, and our end of it. */
function peerAndSocket(role: "old" | "successor"): { peer: Peer; socket: UnixSocket } {
  const [socket, theirs] = pair();
  const peer = new Peer(role, { fd: 3 }, theirs.fd);
  theirs.close();
  cleanup.push(() => peer.kill());
  return { peer, socket };
}

const SUCCESSOR_STEPS = ["open", "receive", "ready", "taken", "released", "done"] as const;
const OLD_STEPS = ["open", "prepare", "transfer", "commit", "released", "acknowledged"] as const;

async function toSuccessor(socket: UnixSocket): Promise<OutgoingCarrier> {
  const carrier = await socketToSuccessor({ socket });
  cleanup.push(() => carrier.close());
  return carrier;
}

async function fromOldProcess(socket: UnixSocket): Promise<IncomingCarrier> {
  const carrier = await socketFromOldProcess({ socket });
  cleanup.push(() => carrier.close());
  return carrier;
}

async function receive(carrier: IncomingCarrier): Promise<readonly OwnedFd[]> {
  const { descriptors } = await carrier.receive(wait);
  cleanup.push(() => {
    for (const each of descriptors) each.close();
  });
  return descriptors;
}

describe("a hand-over", () => {
  it("goes to a successor that listens", async () => {
    const path = join(directory, "successor");
    const peer = new Peer("successor", { listen: path });
    cleanup.push(() => peer.kill());
    const opened = peer.do("open");
    let carrier: OutgoingCarrier | undefined;
    while (carrier === undefined) {
      carrier = await socketToSuccessor({ connect: path }).catch((error) => {
        if (error.code !== "ENOENT" && error.code !== "ECONNREFUSED") throw error;
        return undefined;
      });
    }
    await opened;
    const received = peer.do("receive");
    const late = peer.do("ready");
    await carrier.prepare({ manifest: encode("manifest"), descriptors: Array.from({ length: 600 }, () => 1) }, wait);
    expect((await received).value).toBe(600);
    const taken = peer.do("taken");
    await carrier.transfer(encode("late"), wait);
    expect((await late).value).toBe("late");
    carrier.commit();
    expect((await taken).code).toBeUndefined();
    const released = peer.do("released");
    carrier.released();
    expect((await released).code).toBeUndefined();
    await peer.do("done");
    await peer.do("close");
    // The successor has closed with nothing left unread here: its last word is still there.
    expect(decode(await carrier.acknowledged(wait))).toBe("report");
    carrier.close();
  });

  it("comes from an old process that listens, and from one that passed a pair", async () => {
    const path = join(directory, "old");
    for (const listens of [true, false]) {
      const before = openDescriptors();
      let peer: Peer;
      let carrier: IncomingCarrier;
      if (listens) {
        peer = new Peer("old", { listen: path });
        const opened = peer.do("open");
        let found: IncomingCarrier | undefined;
        while (found === undefined) {
          found = await socketFromOldProcess({ connect: path }).catch((error) => {
            if (error.code !== "ENOENT" && error.code !== "ECONNREFUSED") throw error;
            return undefined;
          });
        }
        carrier = found;
        await opened;
      } else {
        const [mine, theirs] = pair();
        peer = new Peer("old", { fd: 3 }, theirs.fd);
        theirs.close();
        const opened = peer.do("open");
        carrier = await socketFromOldProcess({ socket: mine });
        await opened;
      }
      const preparing = peer.do("prepare");
      const { manifest, descriptors } = await carrier.receive(wait);
      expect(decode(manifest)).toBe("manifest");
      expect(descriptors.length).toBe(300);
      expect(native.eventfdRead(descriptors[299]?.number ?? -1)).toBe(42);
      for (const each of descriptors) {
        expect(native.setCloseOnExec(each.number, true)).toBe(1);
        each.close();
      }
      const late = carrier.ready(wait);
      await preparing;
      const transferring = peer.do("transfer");
      expect(decode(await late)).toBe("late");
      const taken = carrier.taken(wait);
      await transferring;
      await peer.do("commit");
      await taken;
      await peer.do("released");
      await carrier.released(wait);
      const acknowledged = peer.do("acknowledged");
      carrier.done(encode("all well"));
      carrier.close();
      expect((await acknowledged).value).toBe("all well");
      await peer.do("close");
      await peer.end();
      expect(openDescriptors()).toBe(before);
    }
  });
});

/** A promise that is looked at later, and that may have been rejected by then. */
interface Pending<T> {
  readonly result: Promise<T>;
}

function pending<T>(result: Promise<T>): Pending<T> {
  result.catch(() => {});
  return { result };
}

/** A successor here, and an old process there: how far they come. */
const oldThere = {
  async opened(): Promise<{ peer: Peer; carrier: IncomingCarrier }> {
    const { peer, socket } = peerAndSocket("old");
    const [carrier] = await Promise.all([fromOldProcess(socket), peer.do("open")]);
    return { peer, carrier };
  },
  async received() {
    const { peer, carrier } = await oldThere.opened();
    const preparing = peer.do("prepare");
    const descriptors = await receive(carrier);
    return { peer, carrier, preparing: { result: preparing }, descriptors };
  },
  async ready() {
    const { peer, carrier, preparing } = await oldThere.received();
    const ready = pending(carrier.ready(wait));
    await preparing.result;
    return { peer, carrier, ready };
  },
  async frozen() {
    const { peer, carrier, ready } = await oldThere.ready();
    const transferring = peer.do("transfer");
    await ready.result;
    return { peer, carrier, transferring: { result: transferring } };
  },
  async taken() {
    const { peer, carrier, transferring } = await oldThere.frozen();
    const controller = new AbortController();
    const taken = pending(carrier.taken({ signal: controller.signal }));
    expect((await transferring.result).code).toBeUndefined();
    return { peer, carrier, taken, controller };
  },
  async committed() {
    const { peer, carrier, taken } = await oldThere.taken();
    expect((await peer.do("commit")).code).toBeUndefined();
    await taken.result;
    return { peer, carrier };
  },
};

/** An old process here, and a successor there. */
const successorThere = {
  async opened(): Promise<{ peer: Peer; carrier: OutgoingCarrier }> {
    const { peer, socket } = peerAndSocket("successor");
    const [carrier] = await Promise.all([toSuccessor(socket), peer.do("open")]);
    return { peer, carrier };
  },
  async received() {
    const { peer, carrier } = await successorThere.opened();
    const received = peer.do("receive");
    const preparing = pending(carrier.prepare({ manifest: encode("manifest"), descriptors: [1, 1] }, wait));
    await received;
    return { peer, carrier, preparing };
  },
  async ready() {
    const { peer, carrier, preparing } = await successorThere.received();
    const late = peer.do("ready");
    await preparing.result;
    return { peer, carrier, late: { result: late } };
  },
  async frozen() {
    const { peer, carrier, late } = await successorThere.ready();
    const transferring = pending(carrier.transfer(encode("late"), wait));
    await late.result;
    return { peer, carrier, transferring };
  },
  async taken() {
    const { peer, carrier, transferring } = await successorThere.frozen();
    const taken = peer.do("taken");
    await transferring.result;
    return { peer, carrier, taken: { result: taken } };
  },
  async committed() {
    const { peer, carrier, taken } = await successorThere.taken();
    carrier.commit();
    await taken.result;
    return { peer, carrier };
  },
};

describe("an old process that is killed", () => {
  it("before it introduced itself is nobody", async () => {
    const { peer, socket } = peerAndSocket("old");
    await peer.kill();
    await expect(socketFromOldProcess({ socket })).rejects.toMatchObject({ code: "ECONNRESET" });
    expect(socket.closed).toBe(true);
  });

  it("before it sent anything has handed nothing over", async () => {
    const { peer, carrier } = await oldThere.opened();
    await peer.kill();
    await expect(carrier.receive(wait)).rejects.toThrow(/ECONNRESET.*the old process went away without a reason/);
  });

  it("before everything is frozen has handed nothing over", async () => {
    const { peer, ready } = await oldThere.ready();
    await peer.kill();
    await expect(ready.result).rejects.toMatchObject({ code: "ECONNRESET" });
    const second = await oldThere.received();
    await second.peer.kill();
    await expect(second.carrier.ready(wait)).rejects.toMatchObject({ code: "ECONNRESET" });
  });

  it("when everything is frozen leaves the devices to its successor", async () => {
    const { peer, carrier } = await oldThere.frozen();
    await peer.kill();
    await carrier.taken(wait);
    await carrier.released(wait);
    carrier.done(encode("report"));
    carrier.fail("too late");
  });

  it("before it gives the word leaves the devices to its successor", async () => {
    const { peer, carrier, taken } = await oldThere.taken();
    peer.signal("SIGKILL");
    await taken.result;
    await carrier.released(wait);
  });

  it("after the word has released everything", async () => {
    const { peer, carrier } = await oldThere.committed();
    const released = carrier.released(wait);
    peer.signal("SIGKILL");
    await released;
  });

  it("at any other time (seeded) has handed over, or has not", async () => {
    const prng = new Prng(Number(process.env.SEED ?? 7));
    for (let round = 0; round < 25; round++) {
      const { peer, socket } = peerAndSocket("old");
      for (const step of OLD_STEPS) void peer.do(step);
      const opening = fromOldProcess(socket);
      const killing = (async () => {
        await opening.catch(() => {});
        await delay(prng.below(12) / 2);
        await peer.kill();
      })();
      let last = "open";
      try {
        const carrier = await opening;
        last = "receive";
        await receive(carrier);
        last = "ready";
        await carrier.ready(wait);
        last = "taken";
        await carrier.taken(wait);
        last = "released";
        await carrier.released(wait);
        last = "done";
      } catch (error) {
        expect(error).toMatchObject({ code: "ECONNRESET" });
        // From the freeze on, the devices are never nobody's.
        expect(["open", "receive", "ready"]).toContain(last);
      }
      await killing;
    }
  });
});

describe("a successor that is killed", () => {
  it("before it introduced itself is nobody", async () => {
    const { peer, socket } = peerAndSocket("successor");
    await peer.kill();
    await expect(socketToSuccessor({ socket })).rejects.toMatchObject({ code: "ECONNRESET" });
  });

  it("before it has everything leaves the devices here", async () => {
    const { peer, carrier } = await successorThere.opened();
    await peer.kill();
    const descriptors = Array.from({ length: 600 }, () => 1);
    await expect(carrier.prepare({ manifest: encode("manifest"), descriptors }, wait)).rejects.toThrow(
      /ECONNRESET.*the successor went away without a reason/,
    );
  });

  it("before it is ready leaves the devices here", async () => {
    const { peer, preparing } = await successorThere.received();
    await peer.kill();
    await expect(preparing.result).rejects.toMatchObject({ code: "ECONNRESET" });
  });

  it("before it has taken the memory over leaves the devices here", async () => {
    const ready = await successorThere.ready();
    await ready.peer.kill();
    await expect(ready.carrier.transfer(encode("late"), wait)).rejects.toMatchObject({ code: "ECONNRESET" });
    const frozen = await successorThere.frozen();
    await frozen.peer.kill();
    await expect(frozen.transferring.result).rejects.toMatchObject({ code: "ECONNRESET" });
  });

  it("before the word leaves the devices here", async () => {
    const { peer, carrier } = await successorThere.taken();
    await peer.kill();
    expect(() => carrier.commit()).toThrow(/ECONNRESET.*the successor went away/);
    carrier.abort("the successor is dead");
  });

  it("after the word has not acknowledged", async () => {
    const { peer, carrier } = await successorThere.committed();
    await peer.kill();
    carrier.released();
    await expect(carrier.acknowledged(wait)).rejects.toMatchObject({ code: "ECONNRESET" });
  });
});

describe("a successor that is killed at any time (seeded)", () => {
  it("has the devices, or has not", async () => {
    const prng = new Prng(Number(process.env.SEED ?? 8));
    for (let round = 0; round < 25; round++) {
      const { peer, socket } = peerAndSocket("successor");
      for (const step of SUCCESSOR_STEPS) void peer.do(step);
      const opening = toSuccessor(socket);
      const killing = (async () => {
        await opening.catch(() => {});
        await delay(prng.below(12) / 2);
        await peer.kill();
      })();
      let carrier: OutgoingCarrier | undefined;
      try {
        carrier = await opening;
        await carrier.prepare(
          { manifest: encode("manifest"), descriptors: Array.from({ length: 300 }, () => 1) },
          wait,
        );
        await carrier.transfer(encode("late"), wait);
        carrier.commit();
        carrier.released();
        expect(decode(await carrier.acknowledged(wait))).toBe("report");
      } catch (error) {
        expect(error).toMatchObject({ code: "ECONNRESET" });
        carrier?.abort("the successor is dead");
      }
      await killing;
    }
  });
});

describe("a refusal", () => {
  it("of the old process reaches the successor with its reason, also when it is already there", async () => {
    const opened = await oldThere.opened();
    await opened.peer.now("end", "the user said no");
    await expect(opened.carrier.receive(wait)).rejects.toThrow(/ECANCELED.*the old process ended.*the user said no/);

    const received = await oldThere.received();
    await received.peer.now("end", "behind prepare");
    await expect(received.carrier.ready(wait)).rejects.toThrow(/ECANCELED/);

    const ready = await oldThere.ready();
    await ready.peer.now("end", "a device is in use");
    await ready.peer.kill();
    await expect(ready.ready.result).rejects.toThrow(/ECANCELED.*a device is in use/);

    // It rolled back and died afterwards: its successor must not take over what it has seen frozen.
    const frozen = await oldThere.taken();
    await frozen.peer.now("end", "second thoughts");
    await frozen.peer.kill();
    await expect(frozen.taken.result).rejects.toThrow(/ECANCELED.*second thoughts/);
  });

  it("is implied by close", async () => {
    const { peer, taken } = await oldThere.taken();
    await peer.do("close");
    await expect(taken.result).rejects.toThrow(/ECANCELED.*closed the hand-over before it was complete/);
    const { carrier, peer: successor } = await successorThere.taken();
    await successor.now("close");
    expect(() => carrier.commit()).toThrow(/closed the hand-over/);
  });

  it("of the successor reaches the old process with its reason", async () => {
    const received = await successorThere.received();
    await received.peer.now("end", "IOMMU_IOAS_CHANGE_PROCESS is missing");
    await expect(received.preparing.result).rejects.toThrow(
      /ECANCELED.*the successor ended.*CHANGE_PROCESS is missing/,
    );

    const frozen = await successorThere.frozen();
    await frozen.peer.now("end", "mapping 3 has no memory");
    await frozen.peer.kill();
    await expect(frozen.transferring.result).rejects.toThrow(/mapping 3 has no memory/);

    const taken = await successorThere.taken();
    await taken.peer.now("end", "its wait was over");
    expect(() => taken.carrier.commit()).toThrow(/its wait was over/);
  });

  it("after the word changes nothing", async () => {
    const { peer, carrier } = await successorThere.committed();
    carrier.abort("too late");
    await peer.now("end", "too late");
    const released = peer.do("released");
    carrier.released();
    expect((await released).code).toBeUndefined();
    await peer.do("done");
    expect(decode(await carrier.acknowledged(wait))).toBe("report");
  });
});

describe("an old process that lives", () => {
  it("and only closed its socket has not handed over", async () => {
    const [raw, socket] = pair();
    const [carrier] = await Promise.all([fromOldProcess(socket), introduceOldProcess(raw)]);
    await raw.send(packet({ kind: 1, type: TYPES.parcel }));
    await receive(carrier);
    await raw.send(message("frozen"));
    await carrier.ready(wait);
    const taken = carrier.taken(wait);
    await drain(raw);
    // This process is the old one, and it lives.
    raw.close();
    await expect(taken).rejects.toMatchObject({ code: "ECONNRESET" });
  });

  it("and could give no pidfd has not handed over", async () => {
    const [raw, socket] = pair();
    const opening = fromOldProcess(socket);
    await raw.send(hello("old"));
    await raw.send(message("process"));
    const carrier = await opening;
    await raw.send(message("parcel"));
    await receive(carrier);
    await raw.send(message("frozen"));
    await carrier.ready(wait);
    const taken = carrier.taken(wait);
    await drain(raw);
    raw.close();
    await expect(taken).rejects.toMatchObject({ code: "ESRCH" });
  });

  it("but is stopped is waited for until the signal, and cannot give the word any more", async () => {
    const { peer, carrier, taken, controller } = await oldThere.taken();
    peer.signal("SIGSTOP");
    controller.abort(new Error("5 seconds are over"));
    await expect(taken.result).rejects.toThrow("5 seconds are over");
    peer.signal("SIGCONT");
    const { code, error } = await peer.do("commit");
    expect(code).toBe("ECANCELED");
    expect(error).toMatch(/the successor ended.*does not wait for the commit any longer: Error: 5 seconds are over/);
    carrier.fail("a second reason is not said");
  });

  it("has given the word that is there when the signal comes", async () => {
    const [a, b] = pair();
    const [old, successor] = await Promise.all([toSuccessor(a), fromOldProcess(b)]);
    const controller = new AbortController();
    const run = async () => {
      await receive(successor);
      await successor.ready(wait);
      const taken = successor.taken({ signal: controller.signal });
      return { taken };
    };
    const [{ taken }] = await Promise.all([
      run(),
      old.prepare({ manifest: encode("m"), descriptors: [] }, wait).then(() => old.transfer(encode("l"), wait)),
    ]);
    // Both within one turn of the loop: nobody has been told of the word yet.
    old.commit();
    controller.abort(new Error("too late"));
    await taken;
    old.released();
    await successor.released(wait);
  });
});

describe("a peer that stalls", () => {
  const abortedAfterTurns = async (start: (signal: AbortSignal) => Promise<unknown>) => {
    const controller = new AbortController();
    const waiting = start(controller.signal);
    waiting.catch(() => {});
    for (let i = 0; i < 5; i++) await turn();
    controller.abort(new Error("enough"));
    await expect(waiting).rejects.toThrow("enough");
  };

  it("is waited for by the old process until the signal, at every wait", async () => {
    const before = openDescriptors();
    const path = join(directory, "stalled");
    await abortedAfterTurns((signal) => socketToSuccessor({ listen: path }, { signal }));
    const listener = UnixListener.listen(path, "seqpacket");
    await abortedAfterTurns((signal) => socketToSuccessor({ connect: path }, { signal }));
    listener.close();
    const stages: ((old: OutgoingCarrier, signal: AbortSignal) => Promise<unknown>)[] = [
      (old, signal) => old.prepare({ manifest: new Uint8Array(0), descriptors: [1] }, { signal }),
      (old, signal) => old.prepare({ manifest: new Uint8Array(5_000_000), descriptors: [] }, { signal }),
      (old, signal) => old.prepare({ manifest: new Uint8Array(0), descriptors: [] }, { signal }),
      (old, signal) => old.transfer(new Uint8Array(5_000_000), { signal }),
      (old, signal) => old.transfer(new Uint8Array(0), { signal }),
      (old, signal) => old.acknowledged({ signal }),
    ];
    for (const stage of stages) {
      const [raw, socket] = pair();
      await raw.send(hello("successor"));
      await raw.send(packet({ kind: 4, first: 1 }));
      const old = await socketToSuccessor({ socket });
      await abortedAfterTurns((signal) => stage(old, signal));
      old.close();
      raw.close();
    }
    expect(openDescriptors()).toBe(before);
  });

  it("is waited for by the successor until the signal, at every wait", async () => {
    const before = openDescriptors();
    await abortedAfterTurns((signal) => socketFromOldProcess({ listen: join(directory, "stalled") }, { signal }));
    const stages: ((successor: IncomingCarrier, signal: AbortSignal, raw: UnixSocket) => Promise<unknown>)[] = [
      (successor, signal) => successor.receive({ signal }),
      async (successor, signal, raw) => {
        await raw.send(packet({ kind: 1, type: TYPES.parcel, second: 300 }));
        await raw.send(
          packet({ kind: 2, second: 253 }),
          Array.from({ length: 253 }, () => 1),
        );
        return await successor.receive({ signal });
      },
      (successor, signal) => successor.ready({ signal }),
      (successor, signal) => successor.taken({ signal }),
      (successor, signal) => successor.released({ signal }),
    ];
    for (const stage of stages) {
      const [raw, socket] = pair();
      const [successor] = await Promise.all([socketFromOldProcess({ socket }), introduceOldProcess(raw)]);
      await drain(raw);
      await abortedAfterTurns((signal) => stage(successor, signal, raw));
      successor.close();
      raw.close();
    }
    expect(openDescriptors()).toBe(before);
  });
});

describe("the other side", () => {
  // To be another user takes root.
  const asRoot = it.skipIf(process.getuid?.() !== 0);

  asRoot("is refused if it is of another user, and the wait goes on", async () => {
    const path = `\0vfio-test-${process.pid}`;
    const stranger = new Peer("successor", { connect: path });
    const friend = new Peer("successor", { connect: path });
    cleanup.push(
      () => stranger.kill(),
      () => friend.kill(),
    );
    await stranger.do("uid", "65534");
    const allowed: number[] = [];
    const opening = socketToSuccessor(
      { listen: path },
      {
        allow: (peer) => {
          allowed.push(peer.uid);
          return peer.uid === 0;
        },
      },
    );
    const refused = await stranger.do("open");
    expect(refused.code).toBe("ECANCELED");
    expect(refused.error).toMatch(/uid 65534.*is not allowed to be the successor/);
    const [carrier] = await Promise.all([opening, friend.do("open")]);
    expect(allowed).toEqual([65534, 0]);
    carrier.close();
  });

  asRoot("is refused by default if it is neither of this user nor root", async () => {
    const path = `\0vfio-test-${process.pid}-2`;
    // Root may talk to it, and does not talk to everybody.
    const stranger = new Peer("old", { listen: path });
    cleanup.push(() => stranger.kill());
    await stranger.do("uid", "65534");
    const opening = stranger.do("open");
    let error: unknown;
    do error = await socketFromOldProcess({ connect: path }).catch((reason: unknown) => reason);
    while (error instanceof Error && error.message.startsWith("ECONNREFUSED"));
    expect(error).toMatchObject({ code: "EACCES" });
    // It was told, and waits no more.
    expect((await opening).code).toBe("ECANCELED");
  });

  it("must be of the other kind, speak the protocol, and be who it says", async () => {
    const cases: [Promise<unknown>, RegExp][] = [];
    for (const [say, expected] of [
      [[hello("successor")], /EPROTO.*the other side is not the old process/],
      [[hello("old", 3, 2)], /EPROTO.*speaks protocols 2 to 3, and this one 1 to 1.*\n.*update in two steps/],
      [[message("hello")], /EPROTO.*did not say who it is/],
      [[hello("old"), message("parcel")], /EPROTO.*"parcel" came from the old process where the message "process"/],
    ] as const) {
      const [raw, socket] = pair();
      for (const each of say) await raw.send(each);
      cases.push([socketFromOldProcess({ socket }), expected]);
      cleanup.push(() => raw.close());
    }
    const [raw, socket] = pair();
    cleanup.push(() => raw.close());
    await raw.send(hello("old"));
    await raw.send(packet({ kind: 1, type: TYPES.process, second: 1 }));
    await raw.send(packet({ kind: 2, second: 1 }), [1]);
    cases.push([socketFromOldProcess({ socket }), /EPROTO.*no pidfd/]);
    for (const [opening, expected] of cases) await expect(opening).rejects.toThrow(expected);
  });

  it("of a newer version that still speaks this protocol is welcome", async () => {
    const [raw, socket] = pair();
    await raw.send(hello("successor", 9, 1));
    await raw.send(packet({ kind: 4, first: 1 }));
    (await socketToSuccessor({ socket })).close();
    raw.close();
  });

  it("that is both a listener's probe and gone is not the one that was waited for", async () => {
    const path = join(directory, "probed");
    const opening = socketToSuccessor({ listen: path });
    // Somebody who wants to listen there looks whether anybody does.
    expect(() => UnixListener.listen(path, "seqpacket")).toThrow(/EADDRINUSE/);
    const [old, successor] = await Promise.all([opening, socketFromOldProcess({ connect: path })]);
    successor.close();
    old.close();
  });
});
