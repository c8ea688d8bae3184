/** What ends a hand-over while the program stops and saves, which may take as long as it likes. */
import { afterEach, describe, expect, it, vi } from "vitest";
import type { OutgoingCarrier } from "../../../lib/live-update/carrier.js";
import { execInPlace } from "../../../lib/live-update/exec-carrier.js";
import { type HandOverOptions, LiveUpdate } from "../../../lib/live-update/outgoing.js";
import { socketToSuccessor } from "../../../lib/live-update/socket-carrier.js";
import { Peer } from "./peer.js";
import { end, introduceSuccessor, message, pair, receiveUntil } from "./wire.js";

// Processes start and end, on machines that may have other things to do.
vi.setConfig({ testTimeout: 60_000 });

const cleanup: (() => unknown)[] = [];
afterEach(async () => {
  for (const each of cleanup.splice(0).reverse()) await each();
});

/** A function of the program's that never ends by itself, and says when it runs. */
class Endless {
  readonly began: Promise<AbortSignal>;
  #begin: (signal: AbortSignal) => void = () => {};
  #settle: { resolve(value: never): void; reject(reason: unknown): void } | undefined;

  constructor() {
    this.began = new Promise((resolve) => {
      this.#begin = resolve;
    });
  }

  readonly run = (signal: AbortSignal): Promise<never> => {
    this.#begin(signal);
    return new Promise((resolve, reject) => {
      this.#settle = { resolve, reject };
    });
  };

  /** It fails after all, when nobody waits for it any more. */
  fail(): void {
    this.#settle?.reject(new Error("too late"));
  }
}

/** A successor in a process of its own, which is ready. */
async function readySuccessor() {
  const [socket, theirs] = pair();
  const peer = new Peer("successor", { fd: 3 }, theirs.fd);
  theirs.close();
  cleanup.push(() => peer.kill());
  const [carrier] = await Promise.all([socketToSuccessor({ socket }), peer.do("open")]);
  void peer.do("receive");
  return { peer, carrier, ready: peer.do("ready") };
}

describe.each(["stop", "save"] as const)("while %s() runs", (step) => {
  /** Begins a hand-over that comes as far as the step. */
  function begin(carrier: OutgoingCarrier, options: HandOverOptions = {}) {
    const endless = new Endless();
    const resumed: string[] = [];
    const update = new LiveUpdate({
      containers: {},
      [step]: endless.run,
      resume: () => resumed.push("resume"),
    });
    const over = update.handOver(carrier, options);
    over.catch(() => {});
    return { update, endless, resumed, over };
  }

  it("the signal ends the hand-over, and the step's own signal is aborted", async () => {
    const { peer, carrier, ready } = await readySuccessor();
    const controller = new AbortController();
    const { update, endless, resumed, over } = begin(carrier, { signal: controller.signal });
    const signal = await endless.began;
    expect(signal.aborted).toBe(false);
    const reason = new Error("enough");
    controller.abort(reason);
    await expect(over).rejects.toBe(reason);
    expect(signal.reason).toBe(reason);
    expect(resumed).toEqual(["resume"]);
    expect(update.committed).toBe(false);
    const { code, error } = await ready;
    expect(code).toBe("ECANCELED");
    expect(error).toMatch(/the old process ended the hand-over: enough/);
    // What it does from here on is nothing: neither a second resume() nor an unhandled rejection.
    endless.fail();
    await peer.end();
    expect(resumed).toEqual(["resume"]);
  });

  it.each([
    ["gives up", /ECANCELED.*the successor ended the hand-over: not today/],
    ["dies", /ECONNRESET.*the successor went away without a reason/],
  ] as const)("a successor that %s ends the hand-over", async (how, message) => {
    const { peer, carrier } = await readySuccessor();
    const { endless, resumed, over } = begin(carrier);
    const signal = await endless.began;
    if (how === "dies") peer.signal("SIGKILL");
    else void peer.now("end", "not today");
    await expect(over).rejects.toThrow(message);
    expect(signal.reason).toMatchObject({ message: expect.stringMatching(message) });
    expect(resumed).toEqual(["resume"]);
  });

  it("a successor that says what is not due ends the hand-over", async () => {
    const [raw, socket] = pair();
    cleanup.push(() => raw.close());
    await introduceSuccessor(raw);
    const { endless, over } = begin(await socketToSuccessor({ socket }));
    await raw.send(message("ready"));
    await endless.began;
    await raw.send(message("taken"));
    await expect(over).rejects.toThrow(/EPROTO.*"taken" came from the successor where nothing was due/);
  });

  it("the signal ends an exec in place", async () => {
    const controller = new AbortController();
    const { endless, over } = begin(execInPlace(), { signal: controller.signal });
    const signal = await endless.began;
    controller.abort(new Error("enough"));
    await expect(over).rejects.toThrow("enough");
    expect(signal.aborted).toBe(true);
  });
});

describe("a step that is over", () => {
  it("keeps a signal that is not aborted, and loses nothing that the successor says then", async () => {
    const [raw, socket] = pair();
    cleanup.push(() => raw.close());
    await introduceSuccessor(raw);
    const signals: AbortSignal[] = [];
    const update = new LiveUpdate({
      containers: {},
      stop: (signal) => {
        signals.push(signal);
      },
      save: async (signal) => {
        signals.push(signal);
        // Both within one turn of the loop: the end is there when the function returns.
        await raw.send(end("second thoughts"));
        return new Uint8Array(1);
      },
    });
    const over = update.handOver(await socketToSuccessor({ socket }));
    await raw.send(message("ready"));
    await expect(over).rejects.toThrow(/ECANCELED.*second thoughts/);
    expect(signals[0]?.aborted).toBe(false);
    expect(signals).toHaveLength(2);
  });

  it("is followed by the rest", async () => {
    const [raw, socket] = pair();
    cleanup.push(() => raw.close());
    await introduceSuccessor(raw);
    const signals: AbortSignal[] = [];
    const keep = (signal: AbortSignal) => void signals.push(signal);
    const update = new LiveUpdate({
      containers: {},
      stop: keep,
      save: (signal) => {
        keep(signal);
        return new Uint8Array(1);
      },
    });
    const over = update.handOver(await socketToSuccessor({ socket }));
    await receiveUntil(raw, "parcel");
    await raw.send(message("ready"));
    await receiveUntil(raw, "frozen");
    await raw.send(message("taken"));
    await receiveUntil(raw, "commit");
    await raw.send(message("done", new TextEncoder().encode("[]")));
    await over;
    expect(update.committed).toBe(true);
    expect(signals.map(({ aborted }) => aborted)).toEqual([false, false]);
  });

  it("is refused what is no state, with a roll-back", async () => {
    const [raw, socket] = pair();
    cleanup.push(() => raw.close());
    await introduceSuccessor(raw);
    const resumed: string[] = [];
    const update = new LiveUpdate({
      containers: {},
      // @ts-expect-error: as a program without types may have it
      save: () => "state",
      resume: () => resumed.push("resume"),
    });
    const over = update.handOver(await socketToSuccessor({ socket }));
    await raw.send(message("ready"));
    await expect(over).rejects.toMatchObject({ code: "ERR_INVALID_ARG_TYPE" });
    expect(resumed).toEqual(["resume"]);
  });
});
