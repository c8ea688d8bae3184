/**
 * What a hand-over that fails leaves behind: an old process that works as before, and can try again.
 *
 * Both sides are in this process, so that every call of either can be refused, one after the other.
 */
import { Kvm } from "vfio/kvm";
import {
  type IncomingCarrier,
  type IncomingUpdate,
  LiveUpdate,
  type LiveUpdateOptions,
  type OutgoingCarrier,
  receiveLiveUpdate,
} from "vfio/live-update";
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { noKvm } from "../../kvm/machine.js";
import { bind, devices, needs } from "../devices.js";
import { resources } from "../resources.mjs";
import { as, type Call, calls, refuse, watchCalls } from "./faults.js";
import { carriers } from "./hand-over.js";
import { Guest, World } from "./world.js";

let bound: Disposable;
let kvm: Kvm;
beforeAll(() => {
  bound = bind(devices.edu, devices.igb, devices.ivshmem);
  if (noKvm() === undefined) kvm = Kvm.open();
});
afterAll(() => {
  kvm?.close();
  bound[Symbol.dispose]();
});

/** How both sides ended, and what there is of the successor. */
interface Outcome {
  readonly update: LiveUpdate;
  /** What the old side threw. */
  readonly old: unknown;
  /** What the successor threw. */
  readonly successor: unknown;
  readonly incoming: IncomingUpdate | undefined;
  readonly world: World | undefined;
}

/** What a test changes of a hand-over. */
interface Changes {
  readonly out?: (carrier: OutgoingCarrier) => OutgoingCarrier;
  readonly back?: (carrier: IncomingCarrier) => IncomingCarrier;
  readonly handOver?: Parameters<LiveUpdate["handOver"]>[1];
  readonly receive?: Parameters<typeof receiveLiveUpdate>[1];
  readonly takeOver?: Parameters<IncomingUpdate["takeOver"]>[0];
  /** When the successor has put everything together. */
  readonly received?: (incoming: IncomingUpdate) => void | Promise<void>;
}

async function handOver(update: LiveUpdate, world: World, guest: Guest, changes: Changes = {}): Promise<Outcome> {
  const [out, back] = await carriers();
  let incoming: IncomingUpdate | undefined;
  let next: World | undefined;
  const [old, successor] = await Promise.allSettled([
    as("old", () => update.handOver(changes.out?.(out) ?? out, changes.handOver)),
    as("successor", async () => {
      incoming = await receiveLiveUpdate(changes.back?.(back) ?? back, changes.receive);
      // Does nothing once it is over.
      using received = incoming;
      next = World.inherit(received, guest, world);
      await changes.received?.(received);
      return await received.takeOver({ machines: { guest: guest.vm }, ...changes.takeOver });
    }),
  ]);
  const reason = (result: PromiseSettledResult<unknown>) => (result.status === "rejected" ? result.reason : undefined);
  return { update, old: reason(old), successor: reason(successor), incoming, world: next };
}

/** Each method of a carrier, around which a test does something. */
function around<Carrier extends OutgoingCarrier | IncomingCarrier>(
  carrier: Carrier,
  methods: Partial<Record<keyof Carrier, (perform: () => unknown) => unknown>>,
): Carrier {
  return new Proxy(carrier, {
    get: (target, key) => {
      const value: unknown = Reflect.get(target, key);
      if (typeof value !== "function") return value;
      const change: unknown = Reflect.get(methods, key);
      return (...args: unknown[]) => {
        const perform = (): unknown => Reflect.apply(value, target, args);
        return typeof change === "function" ? Reflect.apply(change, undefined, [perform]) : perform();
      };
    },
  });
}

/** Something that a test waits for. */
class Gate {
  readonly opened: Promise<void>;
  open: () => void = () => {};

  constructor() {
    this.opened = new Promise((resolve) => {
      this.open = resolve;
    });
  }
}

const timedOut = expect.objectContaining({ code: "ETIMEDOUT" });

describe.skipIf(noKvm() !== undefined).each(["type1v2", "iommufd"] as const)(
  "a hand-over in mode %s",
  needs("edu", "igb", "ivshmem"),
  (mode) => {
    let world: World;
    /** Where the interrupts go in the successor. */
    let guest: Guest;
    let before: ReturnType<typeof resources>;

    beforeAll(async () => {
      await open();
    });
    afterAll(() => {
      guest[Symbol.dispose]();
      world[Symbol.dispose]();
    });
    beforeEach(() => {
      before = resources();
    });

    /**
     * The first hand-over loads code and looks at what is looked at once; and what a successor has differs by a descriptor from
     * what was made afresh: the eventfd that unmasks the line belongs to the line and to the connection.
     */
    async function open(): Promise<void> {
      world = await World.open(mode, new Guest(kvm));
      guest = new Guest(kvm);
      const { world: next } = await handOver(start(), world, guest);
      if (next === undefined) throw new Error("not even undisturbed");
      world[Symbol.dispose]();
      world = next;
      guest = new Guest(kvm);
    }

    /** The old process works, has what it had, and the same live update can be tried again, and works. */
    async function isUndone(outcome: Outcome): Promise<void> {
      expect(outcome.update.committed).toBe(false);
      expect(outcome.old).toBeInstanceOf(Error);
      expect(outcome.old).not.toBeInstanceOf(AggregateError);
      expect(outcome.incoming?.committed ?? false).toBe(false);
      await worksAndCanBeTriedAgain(outcome.update);
    }

    async function worksAndCanBeTriedAgain(update: LiveUpdate): Promise<void> {
      expect(resources()).toEqual(before);
      await world.works();
      expect(update.blockers()).toEqual([]);
      const again = await handOver(update, world, guest);
      expect(again).toMatchObject({ old: undefined, successor: undefined });
      await isTakenOver(again, false);
    }

    /** The successor works, and has what the old process had, which has nothing. It is the old one of the next test. */
    async function isTakenOver({ update, successor, incoming, world: next }: Outcome, dma = true): Promise<void> {
      expect([update.committed, incoming?.committed, world.gone]).toEqual([true, true, true]);
      if (next === undefined) throw new Error("there is no successor");
      world[Symbol.dispose]();
      world = next;
      guest = new Guest(kvm);
      // A line that is connected afresh has one descriptor less.
      if (successor !== undefined) next.listen();
      if (next.reconnect()) before = resources();
      else expect(resources()).toEqual(before);
      if (dma) await next.comesBack();
      await next.interrupts();
    }

    const start = (options: Partial<LiveUpdateOptions> = {}): LiveUpdate => {
      world.begin();
      return new LiveUpdate({ ...world.plan, ...options });
    };

    it.each(["stop", "save"] as const)("whose %s() throws is undone", async (callback) => {
      for (const fail of [
        () => Promise.reject(new Error("mine")),
        () => {
          throw new Error("mine");
        },
      ]) {
        const resumed: boolean[] = [];
        const update = start({ [callback]: fail, resume: () => resumed.push(true) });
        const outcome = await handOver(update, world, guest);
        expect(outcome).toMatchObject({ old: { message: "mine" }, successor: { code: "ECANCELED" } });
        expect(resumed).toEqual([true]);
        expect(resources()).toEqual(before);
        await world.works();
        world.begin();
      }
      const signal = AbortSignal.abort(new Error("before"));
      await isUndone(await handOver(start(), world, guest, { handOver: { signal } }));
    });

    it.each(["stop", "save"] as const)("that ends while %s() runs is undone, whatever ends it", async (callback) => {
      for (const whoEnds of ["the signal", "the successor"] as const) {
        const controller = new AbortController();
        const began = new Gate();
        const told: unknown[] = [];
        const resumed: boolean[] = [];
        const update = start({
          // It never ends by itself.
          [callback]: (signal: AbortSignal) =>
            new Promise(() => {
              signal.addEventListener("abort", () => told.push(signal.reason));
              began.open();
            }),
          resume: () => resumed.push(true),
        });
        const outcome = await handOver(update, world, guest, {
          handOver: { signal: controller.signal },
          back: (carrier) =>
            around(carrier, {
              ready: async (perform) => {
                const ready = perform();
                await began.opened;
                if (whoEnds === "the signal") controller.abort(new Error("enough"));
                else carrier.fail("enough");
                return await ready;
              },
            }),
        });
        expect(outcome.old).toMatchObject({ message: expect.stringContaining("enough") });
        expect(told).toEqual([outcome.old]);
        expect(resumed).toEqual([true]);
        expect(resources()).toEqual(before);
        await world.works();
        world.begin();
      }
    });

    it("whose resume() throws is undone, and says so", async () => {
      const update = start({
        save: () => {
          throw new Error("mine");
        },
        resume: () => {
          throw new Error("and this");
        },
      });
      const { old } = await handOver(update, world, guest);
      expect(old).toBeInstanceOf(AggregateError);
      expect(old).toMatchObject({ errors: [{ message: "mine" }, { message: "and this" }] });
      expect(resources()).toEqual(before);
      await world.works();
    });

    it("refuses to let a connection be closed on the way, and is undone if the program fails of that", async () => {
      const update = start({
        save: () => {
          for (const connection of world.connections) expect(() => connection.close()).toThrow(/is being handed over/);
          throw new Error("mine");
        },
      });
      const outcome = await handOver(update, world, guest);
      expect(outcome.old).toMatchObject({ message: "mine" });
      expect(resources()).toEqual(before);
      await world.works();
    });

    it.each(["prepare", "transfer", "commit"] as const)("whose carrier fails in %s() is undone", async (method) => {
      const fail = () => {
        if (method === "commit") throw new Error("lost");
        return Promise.reject(new Error("lost"));
      };
      const update = start();
      const outcome = await handOver(update, world, guest, { out: (carrier) => around(carrier, { [method]: fail }) });
      expect(outcome.old).toMatchObject({ message: "lost" });
      await isUndone(outcome);
    });

    it.each([
      "receive",
      "ready",
      "taken",
    ] as const)("whose successor's carrier fails in %s() is undone", async (method) => {
      const fail = () => Promise.reject(new Error("lost"));
      const update = start();
      const outcome = await handOver(update, world, guest, { back: (carrier) => around(carrier, { [method]: fail }) });
      expect(outcome.successor).toMatchObject({ message: "lost" });
      await isUndone(outcome);
    });

    it("whose successor does not want it is undone", async () => {
      const update = start();
      const outcome = await handOver(update, world, guest, { received: (incoming) => incoming.abandon("too old") });
      expect(outcome.old).toMatchObject({ code: "ECANCELED", message: expect.stringContaining("too old") });
      await isUndone(outcome);
    });

    it("that is called twice at a time is made once", async () => {
      const update = start();
      const [out, unused] = await carriers();
      const first = handOver(update, world, guest, {
        received: async () => {
          await expect(update.handOver(out)).rejects.toThrow(/is under way/);
          unused.close();
        },
      });
      await isTakenOver(await first);
    });

    describe.each(["signal", "timeout"] as const)("that is ended by its %s", (how) => {
      /** Ends the old side's waits, or its successor's. */
      const ending = () => {
        const controller = new AbortController();
        const options =
          how === "signal"
            ? { signal: controller.signal }
            : { timeouts: { prepare: 50, transfer: 50, acknowledge: 50 }, timeout: 50 };
        const reason = how === "signal" ? expect.objectContaining({ message: "enough" }) : timedOut;
        return { options, reason, end: () => controller.abort(new Error("enough")) };
      };

      it("while the successor gets ready is undone", async () => {
        const { options, reason, end } = ending();
        const { signal, timeouts } = { signal: undefined, timeouts: undefined, ...options };
        const over = new Gate();
        const update = start();
        const outcome = await handOver(update, world, guest, {
          handOver: { ...(signal && { signal }), ...(timeouts && { timeouts }) },
          out: (carrier) =>
            around(carrier, {
              close: (perform) => {
                perform();
                over.open();
              },
            }),
          received: async () => {
            end();
            await over.opened;
          },
        });
        expect(outcome).toMatchObject({ old: reason, successor: { code: "ECANCELED" } });
        await isUndone(outcome);
      });

      it("G51: while the successor takes the memory over is undone; it comes too late", async () => {
        const { options, reason, end } = ending();
        const { signal, timeouts } = { signal: undefined, timeouts: undefined, ...options };
        const over = new Gate();
        const update = start();
        const outcome = await handOver(update, world, guest, {
          handOver: { ...(signal && { signal }), ...(timeouts && { timeouts: { ...timeouts, prepare: 60_000 } }) },
          out: (carrier) =>
            around(carrier, {
              close: (perform) => {
                perform();
                over.open();
              },
            }),
          back: (carrier) =>
            around(carrier, {
              ready: async (perform) => {
                const late = await perform();
                end();
                await over.opened;
                return late;
              },
            }),
        });
        expect(outcome).toMatchObject({ old: reason, successor: expect.any(Error) });
        await isUndone(outcome);
      });

      it("after the word is given is over, and the successor works", async () => {
        const { options, reason, end } = ending();
        const { signal, timeouts } = { signal: undefined, timeouts: undefined, ...options };
        const over = new Gate();
        const update = start();
        const outcome = await handOver(update, world, guest, {
          handOver: {
            ...(signal && { signal }),
            timeouts: how === "timeout" ? { acknowledge: 50 } : {},
          },
          out: (carrier) =>
            around(carrier, {
              close: (perform) => {
                perform();
                over.open();
              },
            }),
          back: (carrier) =>
            around(carrier, {
              taken: async (perform) => {
                await perform();
                end();
                // The signal ends nothing any more.
                if (timeouts !== undefined) await over.opened;
              },
            }),
        });
        expect(outcome.old).toEqual(how === "timeout" ? reason : undefined);
        await isTakenOver(outcome);
      });

      it.each(["ready", "taken"] as const)("in the successor, in %s(), is undone", async (method) => {
        const { options, reason, end } = ending();
        const { signal, timeout } = { signal: undefined, timeout: undefined, ...options };
        const over = new Gate();
        const wait = async (perform: () => unknown) => {
          end();
          await over.opened;
          return await perform();
        };
        const update = start();
        const outcome = await handOver(update, world, guest, {
          out: (carrier) =>
            around(
              carrier,
              method === "ready"
                ? { transfer: wait }
                : {
                    transfer: async (perform) => {
                      await perform();
                      end();
                      await over.opened;
                    },
                  },
            ),
          back: (carrier) =>
            around(carrier, {
              close: (perform) => {
                perform();
                over.open();
              },
            }),
          takeOver: { ...(signal && { signal }), ...(timeout !== undefined && { timeout }) },
        });
        expect(outcome.successor).toEqual(reason);
        await isUndone(outcome);
      });
    });

    it("G4, G12, G52: that is refused any one call, on either side, is undone; with the word given, the successor works", {
      timeout: 400_000,
    }, async () => {
      using _watched = watchCalls();
      refuse(undefined);
      const undisturbed = await handOver(start(), world, guest);
      const sequence = calls();
      await isTakenOver(undisturbed);
      const undone: Call[] = [];
      const takenOver: Call[] = [];
      for (const call of sequence) {
        const update = start();
        refuse(call);
        const outcome = await handOver(update, world, guest);
        refuse(undefined);
        (update.committed ? takenOver : undone).push(call);
        try {
          if (update.committed) await isTakenOver(outcome);
          else await isUndone(outcome);
        } catch (error) {
          const { old, successor } = outcome;
          throw new Error(`refused ${call.side} ${call.name} ${call.nth} (${old}; ${successor})`, { cause: error });
        }
      }
      // Each stage was seen to be undone, on both sides, and what comes after the word was seen as well.
      const names = (list: readonly Call[], side: string) =>
        list.filter((call) => call.side === side).map(({ name }) => name);
      const own =
        mode === "iommufd"
          ? (["iommufdIoasChangeProcess", "iommufdIoasChangeProcess"] as const)
          : (["vfioIommuUnmapDma", "vfioIommuMapDmaBatch"] as const);
      expect(names(undone, "old")).toEqual(expect.arrayContaining(["sendmsg", "recvmsg", "kvmIrqfd", own[0]]));
      expect(names(undone, "successor")).toEqual(expect.arrayContaining(["mmap", "vfioDeviceGetInfo", own[1]]));
      expect(names(takenOver, "successor")).toEqual(
        expect.arrayContaining(["kvmIrqfd", "kvmSetGsiRouting", "dup", "pollStart"]),
      );
      expect(names(takenOver, "old")).toEqual(expect.not.arrayContaining(["kvmIrqfd"]));
    });

    it("G4: that cannot be undone entirely says so, undoes the rest, and can be tried again", {
      timeout: 120_000,
    }, async () => {
      using _watched = watchCalls();
      const fails: Changes = { out: (carrier) => around(carrier, { transfer: () => Promise.reject(new Error("no")) }) };
      refuse(undefined);
      const update = start();
      const plain = await handOver(update, world, guest, fails);
      const failing = calls().filter(({ side }) => side === "old");
      await isUndone(plain);
      // The last thing that is said is that it is over; from there on it is undone.
      const last = failing.findLastIndex(({ name }) => name === "socketShutdown");
      for (const call of failing.slice(last + 1)) {
        const again = start();
        const { connections } = world;
        refuse(call);
        const outcome = await handOver(again, world, guest, fails);
        refuse(undefined);
        expect(outcome.old, call.name).toBeInstanceOf(AggregateError);
        expect(outcome.old).toMatchObject({ errors: [{ message: "no" }, expect.anything()] });
        // What did not come back is as if it had been detached; who listens, listens again.
        for (const connection of connections) connection.attach();
        world.listen();
        await worksAndCanBeTriedAgain(again);
      }
    });
  },
);
