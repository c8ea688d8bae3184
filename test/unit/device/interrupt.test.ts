import { readdirSync } from "node:fs";
import { afterEach, describe, expect, it } from "vitest";
import { Interrupt } from "../../../lib/device/interrupt.js";
import { native } from "../../../lib/kernel/native.js";

const open: Interrupt[] = [];

/** An interrupt whose kernel is this process: the eventfd is real. */
function interrupt(): Interrupt {
  const made = new Interrupt(
    {
      refuseLocked: () => {},
      trigger: (which) => void native.eventfdWrite(which.eventfd, 1),
      release: () => {},
    },
    3,
    "msix 3 of 0000:01:00.0",
  );
  open.push(made);
  return made;
}

afterEach(() => {
  for (const each of open.splice(0)) each.close();
});

describe("an interrupt", () => {
  it("is taken without waiting", () => {
    const irq = interrupt();
    expect(irq.take()).toBe(0);
    irq.trigger();
    irq.trigger();
    expect(irq.take()).toBe(2);
    expect(irq.take()).toBe(0);
  });

  it("is waited for, also if it came before", async () => {
    const irq = interrupt();
    irq.trigger();
    expect(await irq.wait()).toBe(1);
    const later = irq.wait();
    irq.trigger();
    expect(await later).toBe(1);
  });

  it("is waited for by several, who all hear of it", async () => {
    const irq = interrupt();
    const heard: number[] = [];
    irq.once("interrupt", (count) => heard.push(count));
    const all = Promise.all([irq.wait(), irq.wait()]);
    irq.trigger();
    expect(await all).toEqual([1, 1]);
    expect(heard).toEqual([1]);
    expect(irq.take()).toBe(0);
  });

  it("answers 0 when the time is over", async () => {
    const irq = interrupt();
    expect(await irq.wait({ timeout: 1 })).toBe(0);
    expect(await irq.wait({ timeout: 0 })).toBe(0);
    expect(irq.waitSync(1)).toBe(0);
    irq.trigger();
    expect(irq.waitSync()).toBe(1);
  });

  it("stops waiting at a signal", async () => {
    const irq = interrupt();
    const abort = new AbortController();
    const waiting = irq.wait({ signal: abort.signal });
    abort.abort(new Error("enough"));
    await expect(waiting).rejects.toThrow("enough");
    await expect(irq.wait({ signal: abort.signal })).rejects.toThrow("enough");
    irq.trigger();
    expect(irq.take()).toBe(1);
  });

  it("comes as an event, as long as somebody listens", async () => {
    const irq = interrupt();
    const counts: number[] = [];
    const heard = new Promise<void>((resolve) => {
      const listener = (count: number) => {
        counts.push(count);
        irq.off("interrupt", listener);
        resolve();
      };
      irq.on("interrupt", listener);
    });
    irq.trigger();
    await heard;
    irq.trigger();
    // Nobody listens: the count waits in the eventfd.
    expect(irq.take()).toBe(1);
    expect(counts).toEqual([1]);
  });

  it("refuses to be taken from under those who listen", () => {
    const irq = interrupt();
    const listener = () => {};
    irq.on("interrupt", listener);
    const state = expect.objectContaining({ code: "ERR_INVALID_STATE" });
    expect(() => irq.take()).toThrow(state);
    expect(() => irq.waitSync(0)).toThrow(state);
    irq.off("interrupt", listener);
    expect(irq.take()).toBe(0);
  });

  it("is nobody else's while it is lent", async () => {
    const irq = interrupt();
    const giveBack = irq.lend("a guest");
    const state = expect.objectContaining({
      code: "ERR_INVALID_STATE",
      message: "msix 3 of 0000:01:00.0 is lent to a guest",
    });
    expect(() => irq.take()).toThrow(state);
    expect(() => irq.waitSync(0)).toThrow(state);
    expect(() => irq.on("interrupt", () => {})).toThrow(state);
    expect(() => irq.once("interrupt", () => {})).toThrow(state);
    await expect(async () => irq.wait()).rejects.toThrow(state);
    expect(() => irq.lend("another")).toThrow(state);
    irq.trigger();
    giveBack();
    expect(irq.take()).toBe(1);
    const again = irq.lend("another");
    giveBack();
    expect(() => irq.take()).toThrow("is lent to another");
    again();
  });

  it("is not lent while somebody listens", () => {
    const irq = interrupt();
    const listener = () => {};
    expect(irq.watched).toBe(false);
    irq.on("interrupt", listener);
    expect(irq.watched).toBe(true);
    expect(() => irq.lend("a guest")).toThrow(/somebody listens or waits/);
    irq.off("interrupt", listener);
    irq.lend("a guest")();
  });

  it("is iterated, and counts on while the body runs", async () => {
    const irq = interrupt();
    irq.trigger();
    const seen: number[] = [];
    for await (const count of irq) {
      seen.push(count);
      if (seen.length === 3) break;
      for (let i = 0; i <= seen.length; i++) irq.trigger();
    }
    expect(seen).toEqual([1, 2, 3]);
  });

  it("ends a loop when it is switched off, and tells who waits", async () => {
    const irq = interrupt();
    const loop = (async () => {
      let rounds = 0;
      for await (const _ of irq) rounds++;
      return rounds;
    })();
    const waiting = irq.wait();
    const refused = expect(waiting).rejects.toThrow(expect.objectContaining({ code: "ERR_INVALID_STATE" }));
    irq.close();
    expect(await loop).toBe(0);
    await refused;
  });

  it("ends an iterator that waits, when it is told to return", async () => {
    const irq = interrupt();
    const iterator = irq.interrupts();
    const next = iterator.next();
    expect(await iterator.return?.()).toEqual({ done: true, value: undefined });
    expect(await next).toEqual({ done: true, value: undefined });
    irq.trigger();
    expect(irq.take()).toBe(1);
  });

  it("ends a loop at a signal, with the signal's reason", async () => {
    const irq = interrupt();
    const abort = new AbortController();
    const next = irq.interrupts({ signal: abort.signal }).next();
    abort.abort(new Error("enough"));
    await expect(next).rejects.toThrow("enough");
  });

  it("is nothing any more once it is closed", async () => {
    const descriptors = () => readdirSync("/proc/self/fd").length;
    const before = descriptors();
    const irq = interrupt();
    irq.on("interrupt", () => {});
    irq.close();
    irq.close();
    expect(descriptors()).toBe(before);
    const state = expect.objectContaining({ code: "ERR_INVALID_STATE", message: "msix 3 of 0000:01:00.0 is off" });
    expect(() => irq.eventfd).toThrow(state);
    expect(() => irq.trigger()).toThrow(state);
    expect(() => irq.take()).toThrow(state);
    expect(() => irq.on("interrupt", () => {})).toThrow(state);
    await expect(irq.wait()).rejects.toThrow(state);
    expect(await irq.interrupts().next()).toEqual({ done: true, value: undefined });
  });

  it("closes its eventfd also if the kernel refuses to let go", () => {
    const irq = new Interrupt(
      {
        refuseLocked: () => {},
        trigger: () => {},
        release: () => {
          throw new Error("refused");
        },
      },
      0,
      "intx",
    );
    expect(() => irq.close()).toThrow("refused");
    expect(irq.closed).toBe(true);
  });

  it("is left as it is where it must not be switched off now", () => {
    let locked = true;
    const irq = new Interrupt(
      {
        refuseLocked: () => {
          if (locked) throw new Error("locked");
        },
        trigger: () => {},
        release: () => {},
      },
      0,
      "intx",
    );
    expect(() => irq.close()).toThrow("locked");
    expect(irq.closed).toBe(false);
    locked = false;
    irq.close();
    expect(irq.closed).toBe(true);
  });

  it("refuses a timeout that is none", async () => {
    const irq = interrupt();
    await expect(irq.wait({ timeout: -1 })).rejects.toThrow(expect.objectContaining({ code: "ERR_OUT_OF_RANGE" }));
    expect(() => irq.waitSync(Number.NaN)).toThrow(expect.objectContaining({ code: "ERR_OUT_OF_RANGE" }));
    expect(() => irq.waitSync(2 ** 31)).toThrow(expect.objectContaining({ code: "ERR_OUT_OF_RANGE" }));
  });

  it("can be closed from inside its own event", async () => {
    const irq = interrupt();
    const closed = new Promise<void>((resolve) => {
      irq.on("interrupt", () => {
        irq.close();
        resolve();
      });
    });
    irq.trigger();
    await closed;
    expect(irq.closed).toBe(true);
  });
});
