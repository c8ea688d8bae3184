import { describe, expect, it } from "vitest";
import { VfioError } from "../../../lib/base/errors.js";
import {
  AddressSpace,
  type AddressSpaceListener,
  type Section,
  SectionError,
} from "../../../lib/memory/address-space.js";
import { forSeeds, type Prng } from "../prng.js";

type Space = AddressSpace<string>;
type Listener = AddressSpaceListener<string>;

/** Writes down what it is told: `+a` and `-a`, in brackets. */
class Recorder implements Listener {
  log = "";
  refuse: string | undefined;

  #note(what: string): void {
    if (what === this.refuse) throw new Error(`no ${what}`);
    this.log += what;
  }

  begin(): void {
    this.#note("(");
  }

  add(section: Section<string>): void {
    this.#note(`+${section.memory}`);
  }

  remove(section: Section<string>): void {
    this.#note(`-${section.memory}`);
  }

  commit(): void {
    this.#note(")");
  }

  take(): string {
    const { log } = this;
    this.log = "";
    return log;
  }
}

function setup(...names: string[]): { space: Space; sections: Section<string>[] } {
  const space: Space = new AddressSpace();
  const sections = names.map((memory, i) => space.add({ iova: 0x1000 * i, length: 0x1000, memory }));
  return { space, sections };
}

function thrown(action: () => unknown): unknown {
  try {
    action();
  } catch (error) {
    return error;
  }
  throw new Error("nothing was thrown");
}

const names = (space: Space) => Array.from(space, ({ memory }) => memory).join("");

describe("AddressSpace", () => {
  it("delivers sections as they were added, as objects that never change", () => {
    const space: Space = new AddressSpace();
    const seen: Section<string>[] = [];
    space.attachListener({ add: (section) => seen.push(section), remove: () => undefined });
    const ram = space.add({ iova: 0x1000, length: 0x3000, memory: "ram" });
    const rom = space.add({ iova: 0x4000n, length: 0x1000, memory: "rom", writable: false });
    expect(seen[0]).toBe(ram);
    expect(seen[1]).toBe(rom);
    expect(ram).toEqual({ iova: 0x1000n, length: 0x3000, memory: "ram", readable: true, writable: true });
    expect(rom.writable).toBe(false);
    expect(Object.isFrozen(ram)).toBe(true);
    expect(space.at(0x3fff)).toBe(ram);
    expect(space.size).toBe(2);
  });

  it("replays what is there to a new listener in the order of addresses, and takes it away in reverse", () => {
    const space: Space = new AddressSpace();
    for (const [memory, iova] of [
      ["c", 0x3000],
      ["a", 0x1000],
      ["b", 0x2000],
    ] as const) {
      space.add({ iova, length: 0x1000, memory });
    }
    const recorder = new Recorder();
    const subscription = space.attachListener(recorder);
    expect(recorder.take()).toBe("(+a+b+c)");
    subscription.detach();
    subscription.detach();
    expect(recorder.take()).toBe("(-c-b-a)");
    space.add({ iova: 0, length: 1, memory: "d" });
    expect(recorder.take()).toBe("");
  });

  it("tells nothing where nothing is there or nothing changes", () => {
    const { space } = setup();
    const recorder = new Recorder();
    {
      using _ = space.attachListener(recorder);
      space.transaction(() => space.remove(space.add({ iova: 0, length: 1, memory: "a" })));
      space.transaction(() => undefined);
    }
    expect(recorder.take()).toBe("");
  });

  it("gathers a transaction's changes: removals from the top down, then additions from the bottom up", () => {
    const { space, sections } = setup("a", "b", "c");
    const recorder = new Recorder();
    space.attachListener(recorder);
    recorder.take();
    const result = space.transaction(() => {
      space.add({ iova: 0x9000, length: 0x1000, memory: "z" });
      const gone = space.add({ iova: 0x8000, length: 0x1000, memory: "y" });
      for (const section of sections.slice(0, 2)) space.remove(section);
      space.remove(gone);
      space.add({ iova: 0x800, length: 0x1000, memory: "x" });
      expect(recorder.log).toBe("");
      expect(names(space)).toBe("xcz");
      return 7;
    });
    expect(result).toBe(7);
    expect(recorder.take()).toBe("(-b-a+x+z)");
  });

  it("removes and adds what replaces a section with the same range", () => {
    const { space, sections } = setup("a");
    const recorder = new Recorder();
    space.attachListener(recorder);
    recorder.take();
    space.transaction(() => {
      for (const section of sections) {
        space.remove(section);
        space.add(section);
      }
    });
    expect(recorder.take()).toBe("(-a+a)");
    expect(thrown(() => space.remove(sections[0] ?? space.add({ iova: 0, length: 1, memory: "" })))).toMatchObject({
      code: "ENOENT",
      syscall: "remove",
    });
  });

  it("refuses an overlap and names the section in the way; the transaction can go on", () => {
    const { space } = setup("a", "b");
    space.transaction(() => {
      const error = thrown(() => space.add({ iova: 0x1fff, length: 0x1000, memory: "c" }));
      expect(error).toBeInstanceOf(VfioError);
      expect(error).toMatchObject({ code: "EEXIST", why: "it overlaps the section [0x1000, 0x1fff]" });
      space.add({ iova: 0x2000, length: 0x1000, memory: "d" });
    });
    expect(names(space)).toBe("abd");
  });

  it.each([
    [{ iova: -1, length: 1 }],
    [{ iova: 0, length: 0 }],
    [{ iova: 0, length: 1.5 }],
    [{ iova: 0xffff_ffff_ffff_ffffn, length: 2 }],
  ])("refuses a range that is none: %o", (range) => {
    const { space } = setup();
    expect(() => space.add({ ...range, memory: "a" })).toThrow(expect.objectContaining({ code: "ERR_OUT_OF_RANGE" }));
  });

  it("nests: an inner transaction that fails takes back its own changes only", () => {
    const { space, sections } = setup("a", "b");
    const recorder = new Recorder();
    space.attachListener(recorder);
    recorder.take();
    space.transaction(() => {
      const early = space.add({ iova: 0x5000, length: 1, memory: "e" });
      expect(() =>
        space.transaction(() => {
          for (const section of sections) space.remove(section);
          space.remove(early);
          space.add({ iova: 0, length: 0x9000, memory: "f" });
          throw new Error("never mind");
        }),
      ).toThrow("never mind");
      expect(names(space)).toBe("abe");
      space.transaction(() => space.add({ iova: 0x6000, length: 1, memory: "g" }));
      expect(recorder.log).toBe("");
    });
    expect(recorder.take()).toBe("(+e+g)");
  });

  it("takes everything back when the transaction itself throws, or is asynchronous", () => {
    const { space, sections } = setup("a", "b");
    const recorder = new Recorder();
    space.attachListener(recorder);
    recorder.take();
    const change = () => {
      for (const section of sections) space.remove(section);
      space.add({ iova: 0x1800, length: 0x1000, memory: "c" });
    };
    expect(() =>
      space.transaction(() => {
        change();
        throw new Error("changed my mind");
      }),
    ).toThrow("changed my mind");
    expect(() => space.transaction(async () => change())).toThrow(
      expect.objectContaining({ code: "ERR_INVALID_ARG_TYPE" }),
    );
    expect(recorder.take()).toBe("");
    expect([...space]).toEqual(sections);
  });

  it.each([
    // who refuses what, then what each of three listeners is told
    ["+d", "(-a+c-c+a)", "(-a+c-c+a)", "(-a+c-c+a)", "d"],
    ["+c", "(-a+c-c+a)", "(-a+a)", "(-a+a)", "c"],
    ["-a", "(-a+a)", "()", "()", "a"],
    ["(", "()", "", "", undefined],
    [")", "(-a+c+d)(-d-c+a)", "(-a+c+d", "(-a+c+d-d-c+a)", undefined],
  ])("undoes a change that the second of three listeners refuses at %s", (refused, first, second, third, culprit) => {
    const { space, sections } = setup("a", "b");
    const recorders = [new Recorder(), new Recorder(), new Recorder()];
    for (const recorder of recorders) space.attachListener(recorder);
    for (const recorder of recorders) recorder.take();
    const [, refusing] = recorders;
    if (refusing !== undefined) refusing.refuse = refused;
    const error = thrown(() =>
      space.transaction(() => {
        space.remove(sections[0] ?? space.add({ iova: 0, length: 1, memory: "" }));
        space.add({ iova: 0x2000, length: 0x1000, memory: "c" });
        space.add({ iova: 0x3000, length: 0x1000, memory: "d" });
      }),
    );
    if (refusing !== undefined) refusing.refuse = undefined;
    // A listener that was told of `+d` first hears of its end first.
    const told = refused === "+d" ? ["(-a+c+d-d-c+a)", second, third] : [first, second, third];
    expect(recorders.map((recorder) => recorder.take())).toEqual(told);
    expect(error).toBeInstanceOf(SectionError);
    expect(error).toMatchObject({ code: "ECANCELED", undoFailures: [], cause: { message: `no ${refused}` } });
    expect((error instanceof SectionError && error.section?.memory) || undefined).toBe(culprit);
    expect([...space]).toEqual(sections);
    // All is as before: the next change reaches everybody.
    space.add({ iova: 0x4000, length: 1, memory: "e" });
    expect(recorders.map((recorder) => recorder.take())).toEqual(["(+e)", "(+e)", "(+e)"]);
  });

  it("passes the listener's own error on: code, call, arguments, reason and remedy", () => {
    const { space } = setup();
    const cause = new VfioError({
      errno: 12,
      syscall: "ioctl",
      request: "VFIO_IOMMU_MAP_DMA",
      args: { iova: 0x1000n },
      object: "container (type1v2)",
      why: "locked memory",
      fix: "raise it",
    });
    space.attachListener({
      add: () => {
        throw cause;
      },
      remove: () => undefined,
    });
    const error = thrown(() => space.add({ iova: 0x1000, length: 0x1000, memory: "ram" }));
    expect(error).toMatchObject({
      name: "SectionError",
      code: "ENOMEM",
      syscall: "ioctl",
      request: "VFIO_IOMMU_MAP_DMA",
      args: { iova: 0x1000n },
      object: "container (type1v2)",
      why: "a listener refused to add the section [0x1000, 0x1fff], it was undone: locked memory",
      fix: "raise it",
      cause,
      section: { iova: 0x1000n, memory: "ram" },
    });
    expect(space.size).toBe(0);
  });

  it("says what could not be undone, and never asks the listener for what it does not have", () => {
    const { space, sections } = setup("a");
    const [a] = sections;
    const stubborn = new Recorder();
    const refusing = new Recorder();
    const subscription = space.attachListener(stubborn);
    space.attachListener(refusing);
    stubborn.take();
    stubborn.refuse = "+a";
    refusing.refuse = "+b";
    const error = thrown(() =>
      space.transaction(() => {
        if (a !== undefined) space.remove(a);
        space.add({ iova: 0, length: 1, memory: "b" });
      }),
    );
    expect(error).toMatchObject({
      why: expect.stringContaining("1 of its steps could not be undone: no +b"),
      undoFailures: [{ step: "add", section: a, error: { message: "no +a" } }],
    });
    expect(stubborn.take()).toBe("(-a+b-b)");
    expect([...space]).toEqual([a]);
    // It has no "a": neither the end of "a" nor of the subscription concerns it.
    if (a !== undefined) space.remove(a);
    expect(stubborn.take()).toBe("()");
    subscription.detach();
    expect(stubborn.take()).toBe("");
  });

  it("does not attach a listener that refuses, nor detach one that does", () => {
    const { space } = setup("a", "b", "c");
    const recorder = new Recorder();
    recorder.refuse = "+c";
    expect(() => space.attachListener(recorder)).toThrow(SectionError);
    expect(recorder.take()).toBe("(+a+b-b-a)");
    recorder.refuse = undefined;
    const subscription = space.attachListener(recorder);
    recorder.take();
    recorder.refuse = "-a";
    expect(() => subscription.detach()).toThrow("to remove the section [0x0, 0xfff], it was undone: no -a");
    expect(recorder.take()).toBe("(-c-b+b+c)");
    recorder.refuse = undefined;
    subscription.detach();
    expect(recorder.take()).toBe("(-c-b-a)");
  });

  it("cannot be changed by a listener while it is told, nor attached to within a transaction", () => {
    const { space } = setup("a");
    const recorder = new Recorder();
    const state = expect.objectContaining({ code: "ERR_INVALID_STATE" });
    const attempts: unknown[] = [];
    const subscription = space.attachListener({
      add: () => {
        attempts.push(thrown(() => space.add({ iova: 0x9000, length: 1, memory: "z" })));
        attempts.push(thrown(() => space.attachListener(recorder)));
      },
      remove: () => undefined,
    });
    expect(attempts).toEqual([state, state]);
    expect(() => space.transaction(() => space.attachListener(recorder))).toThrow(state);
    expect(() => space.transaction(() => subscription.detach())).toThrow(state);
    space.attachListener(recorder);
    expect(() => space.attachListener(recorder)).toThrow(state);
    expect(names(space)).toBe("a");
  });
});

/** When listeners refuse: once in `oneIn` calls, as long as there are `refusals` left for the change. */
interface Mood {
  oneIn: number;
  refusals: number;
}

/** A listener that keeps what it was told, writes down every broken promise, and refuses at random. */
class Moody implements Listener {
  readonly has = new Set<Section<string>>();
  readonly broken: string[] = [];
  readonly #prng: Prng;
  readonly #mood: Mood;
  #open = false;
  #undo: (() => void)[] = [];

  constructor(prng: Prng, mood: Mood) {
    this.#prng = prng;
    this.#mood = mood;
  }

  #expect(promise: string, kept: boolean): void {
    if (!kept) this.broken.push(promise);
  }

  #mayRefuse(): void {
    const mood = this.#mood;
    if (mood.refusals === 0 || !this.#prng.oneIn(mood.oneIn)) return;
    mood.refusals--;
    throw new Error("not in the mood");
  }

  begin(): void {
    this.#expect("brackets do not nest", !this.#open);
    this.#mayRefuse();
    this.#open = true;
    this.#undo = [];
  }

  add(section: Section<string>): void {
    this.#expect("add comes in a bracket", this.#open);
    this.#expect("what is added is new", !this.has.has(section));
    this.#mayRefuse();
    this.has.add(section);
    this.#undo.push(() => this.has.delete(section));
  }

  remove(section: Section<string>): void {
    this.#expect("remove comes in a bracket", this.#open);
    this.#expect("what is removed is known", this.has.has(section));
    this.#mayRefuse();
    this.has.delete(section);
    this.#undo.push(() => this.has.add(section));
  }

  commit(): void {
    this.#expect("a bracket is closed once", this.#open);
    this.#open = false;
    try {
      this.#mayRefuse();
    } catch (error) {
      for (const undo of this.#undo.reverse()) undo();
      throw error;
    }
  }

  /** Between changes. */
  check(): void {
    this.#expect("every bracket is closed", !this.#open);
    expect(this.broken).toEqual([]);
  }
}

function randomChanges(space: Space, prng: Prng, depth: number): void {
  const count = prng.between(1, 6);
  for (let i = 0; i < count; i++) {
    const present = [...space];
    if (depth < 3 && prng.oneIn(6)) {
      const before = [...space];
      try {
        space.transaction(() => {
          randomChanges(space, prng, depth + 1);
          if (prng.oneIn(2)) throw new Error("inner");
        });
      } catch (error) {
        if (!(error instanceof Error) || error.message !== "inner") throw error;
        expect([...space]).toEqual(before);
      }
    } else if (present.length > 0 && prng.oneIn(2)) {
      space.remove(prng.pick(present));
    } else {
      const init = { iova: prng.below(200), length: prng.between(1, 20), memory: String(prng.next()) };
      const overlap = present.find((s) => s.iova < init.iova + init.length && s.iova + BigInt(s.length) > init.iova);
      if (overlap === undefined) expect(space.add(init)).toMatchObject({ ...init, iova: BigInt(init.iova) });
      else expect(thrown(() => space.add(init))).toMatchObject({ code: "EEXIST" });
    }
  }
}

describe.each([
  { name: "once in a change, if at all", refusals: 1 },
  { name: "even while a change is undone", refusals: Number.POSITIVE_INFINITY },
])("AddressSpace with listeners that refuse at random, $name", ({ refusals }) => {
  it("is mirrored by each of them exactly, or unchanged", () => {
    forSeeds(8, (prng) => {
      const space: Space = new AddressSpace();
      const mood: Mood = { oneIn: 1, refusals: 0 };
      const attached: { listener: Moody; subscription: Disposable }[] = [];
      const change = () => {
        if (attached.length < 4 && prng.oneIn(6)) {
          const listener = new Moody(prng, mood);
          attached.push({ listener, subscription: space.attachListener(listener) });
        } else if (attached.length > 0 && prng.oneIn(12)) {
          const leaving = prng.pick(attached);
          leaving.subscription[Symbol.dispose]();
          leaving.listener.check();
          expect(leaving.listener.has.size).toBe(0);
          attached.splice(attached.indexOf(leaving), 1);
        } else {
          space.transaction(() => randomChanges(space, prng, 0));
        }
      };
      let refused = 0;
      for (let round = 0; round < 200; round++) {
        const before = [...space];
        const count = attached.length;
        Object.assign(mood, { oneIn: prng.pick([3, 10, 30]), refusals: prng.oneIn(3) ? 0 : refusals });
        try {
          change();
        } catch (error) {
          if (!(error instanceof SectionError)) throw error;
          refused++;
          expect([...space]).toEqual(before);
          expect(attached).toHaveLength(count);
          if (refusals === 1) expect(error.undoFailures).toEqual([]);
        }
        for (const { listener } of attached) {
          listener.check();
          // With a refusal in an undoing, the error has said what is missing or too much.
          if (refusals === 1) expect(new Set(listener.has)).toEqual(new Set(space));
        }
      }
      expect(refused).toBeGreaterThan(10);
    });
  });
});
