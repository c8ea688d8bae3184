/** Hand-overs by exec in place: real programs that replace themselves, execs that fail, and memfds that lie. */
import { execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import {
  chmodSync,
  mkdtempSync,
  openSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { text } from "node:stream/consumers";
import { fileURLToPath } from "node:url";
import { Worker } from "node:worker_threads";
import { afterAll, afterEach, beforeAll, describe, expect, it, vi } from "vitest";
import { OwnedFd } from "../../../lib/kernel/fd.js";
import { native } from "../../../lib/kernel/native.js";
import { type ExecCarrierOptions, execInPlace, incomingExec } from "../../../lib/live-update/exec-carrier.js";
import { Prng } from "../../unit/prng.js";
import { openDescriptors } from "./wire.js";

// Processes start and end, on machines that may have other things to do.
vi.setConfig({ testTimeout: 60_000 });

const wait = { signal: new AbortController().signal };
const program = fileURLToPath(new URL("exec-program.mjs", import.meta.url));

let directory = "";
beforeAll(() => {
  directory = mkdtempSync(join(tmpdir(), "vfio-exec-"));
});
afterAll(() => rmSync(directory, { recursive: true }));

const owned: OwnedFd[] = [];
afterEach(() => {
  for (const each of owned.splice(0)) each.close();
  delete process.env.VFIO_LIVE_UPDATE;
});

function own(fd: number): number {
  owned.push(new OwnedFd(fd, `descriptor ${fd} of the test`));
  return fd;
}

/** Close-on-exec of every descriptor there is. */
function flags(): Record<string, string | undefined> {
  const entries = readdirSync("/proc/self/fd").map((fd): [string, string | undefined] => {
    try {
      return [fd, /^flags:\s*(\d+)/m.exec(readFileSync(`/proc/self/fdinfo/${fd}`, "latin1"))?.[1]];
    } catch {
      return [fd, undefined]; // the one that reads the directory
    }
  });
  return Object.fromEntries(entries.filter(([, flag]) => flag !== undefined));
}

function ignoredSignals(): string | undefined {
  return /SigIgn:\s*(\w+)/.exec(readFileSync("/proc/self/status", "latin1"))?.[1];
}

async function frozen(options: ExecCarrierOptions, descriptors: readonly number[]) {
  const carrier = execInPlace(options);
  await carrier.prepare({ manifest: Uint8Array.of(1, 2), descriptors }, wait);
  await carrier.transfer(Uint8Array.of(3), wait);
  return carrier;
}

describe("a program that replaces itself", () => {
  it("keeps its pid, its descriptors, their contents and its stdio, ten times over", async () => {
    const inherited = execFileSync("ls", ["/proc/self/fd"], { encoding: "utf8" });
    const child = spawn(process.execPath, ["--no-deprecation", program, "10"], { stdio: ["pipe", "pipe", "pipe"] });
    const outputs = Promise.all([text(child.stdout), text(child.stderr), once(child, "exit")]);
    child.stdin.end("still there");
    const [stdout, stderr, [code]] = await outputs;
    expect(code).toBe(0);
    expect(stderr.trim().split("\n")).toEqual(Array.from({ length: 11 }, (_, i) => `generation ${i}`));
    const lines: unknown[] = stdout
      .trim()
      .split("\n")
      .map((line) => JSON.parse(line));
    expect(lines.pop()).toEqual({ stdin: "still there" });
    expect(lines.length).toBe(10);
    const [first] = lines;
    for (const [index, line] of lines.entries()) {
      // Everything is as in the first, so nothing adds up: descriptors, what a child inherits, what is ignored.
      expect(line).toEqual({ ...Object(first), generation: index + 1 });
    }
    expect(first).toMatchObject({
      pid: child.pid,
      late: "late",
      count: 42,
      named: false,
      closeOnExec: true,
      inherited: inherited.trim().split("\n").length,
      args: ["10"],
      execArgv: ["--no-deprecation"],
    });
  });

  it("may become another program, with its own arguments and environment, and no signal that Node ignores", async () => {
    const script = `
      import { execInPlace } from ${JSON.stringify(new URL("../../../dist/live-update/index.js", import.meta.url))};
      const wait = { signal: new AbortController().signal };
      const carrier = execInPlace({
        command: "sh",
        args: ["-c", 'echo "$0 $GREETING $VFIO_LIVE_UPDATE"; grep SigIgn /proc/self/status; readlink /proc/self/fd/$VFIO_LIVE_UPDATE', "me"],
        env: { GREETING: "hello", PATH: process.env.PATH, NOTHING: undefined },
      });
      await carrier.prepare({ manifest: new Uint8Array(0), descriptors: [] }, wait);
      await carrier.transfer(new Uint8Array(0), wait);
      carrier.commit();`;
    const said = execFileSync(process.execPath, ["--input-type=module", "-e", script], { encoding: "utf8" });
    expect(said).toMatch(/^me hello \d+\nSigIgn:\s*0+\n\/memfd:vfio-live-update \(deleted\)\n$/);
  });
});

describe("an exec that fails", () => {
  it.each(["ENOENT", "EACCES", "ENOEXEC", "E2BIG"])("with %s has changed nothing", async (code) => {
    const path = join(directory, code);
    if (code !== "ENOENT") writeFileSync(path, "\u0000not a program");
    chmodSync(code === "ENOENT" ? directory : path, code === "EACCES" ? 0o644 : 0o755);
    // One that is not close-on-exec stays so; one that is shared, and one of stdio, are copied.
    const kept = own(native.eventfd());
    const open = own(native.eventfd());
    native.setCloseOnExec(open, false);
    const before = openDescriptors();
    const args = code === "E2BIG" ? ["x".repeat(200_000)] : [];
    const command = code === "E2BIG" ? process.execPath : path;
    const carrier = await frozen({ command, args }, [kept, open, kept, 1]);
    const flagsBefore = flags();
    const ignoredBefore = ignoredSignals();
    const environment = { ...process.env };
    expect(() => carrier.commit()).toThrow(expect.objectContaining({ code, syscall: "execve" }));
    expect(flags()).toEqual(flagsBefore);
    expect(ignoredSignals()).toBe(ignoredBefore);
    expect(process.env).toEqual(environment);
    // It may be tried again, and then be given up.
    expect(() => carrier.commit()).toThrow(expect.objectContaining({ code }));
    carrier.abort("it failed");
    carrier.close();
    expect(openDescriptors()).toBe(before);
  });

  it("with a descriptor that is closed by now has changed nothing", async () => {
    const kept = own(native.eventfd());
    const gone = native.eventfd();
    const carrier = await frozen({ command: join(directory, "nothing") }, [kept, gone]);
    native.close(gone);
    const before = flags();
    expect(() => carrier.commit()).toThrow(expect.objectContaining({ code: "EBADF" }));
    expect(flags()).toEqual(before);
    carrier.close();
  });

  it("and one that is not there yet let no child process inherit a device (G23)", async () => {
    const kept = own(native.eventfd());
    const carrier = await frozen({ command: join(directory, "nothing") }, [kept]);
    const inherited = () => execFileSync("readlink", ["-f", `/proc/self/fd/${kept}`], { encoding: "utf8" }).trim();
    expect(readlinkSync(`/proc/self/fd/${kept}`)).toBe("anon_inode:[eventfd]");
    expect(inherited()).not.toContain("eventfd");
    expect(() => carrier.commit()).toThrow(/ENOENT/);
    expect(inherited()).not.toContain("eventfd");
    carrier.close();
  });

  it("does not begin before everything is there, or after the signal", async () => {
    const carrier = execInPlace({ command: join(directory, "nothing") });
    expect(() => carrier.commit()).toThrow(expect.objectContaining({ code: "ERR_INVALID_STATE" }));
    await expect(carrier.transfer(new Uint8Array(0), wait)).rejects.toMatchObject({ code: "ERR_INVALID_STATE" });
    const aborted = { signal: AbortSignal.abort(new Error("over")) };
    await expect(carrier.prepare({ manifest: new Uint8Array(0), descriptors: [] }, aborted)).rejects.toThrow("over");
    carrier.close();
  });
});

describe("what stands in the way of an exec", () => {
  it("is known before", async () => {
    const path = join(directory, "unexecutable");
    writeFileSync(path, "");
    expect(execInPlace().blockers()).toEqual([]);
    expect(execInPlace({ command: "sh" }).blockers()).toEqual([]);
    expect(execInPlace({ command: "no-such-command" }).blockers()).toMatchObject(
      [{ why: /no command/ }].map(() => ({})),
    );
    expect(execInPlace({ command: "no-such-command" }).blockers()[0]?.why).toMatch(/no command 'no-such-command'/);
    expect(execInPlace({ command: directory }).blockers()[0]?.why).toMatch(/no command/);
    expect(execInPlace({ command: path }).blockers()[0]?.fix).toMatch(/chmod \+x/);
  });

  it("is a worker thread", async () => {
    const index = new URL("../../../dist/live-update/index.js", import.meta.url).href;
    const worker = new Worker(
      `import(${JSON.stringify(index)}).then(({ execInPlace }) =>
         require("node:worker_threads").parentPort.postMessage(execInPlace().blockers()));`,
      { eval: true },
    );
    const [blockers] = await once(worker, "message");
    expect(blockers).toMatchObject([{ why: expect.stringContaining("worker thread") }]);
    await worker.terminate();
  });
});

describe("a successor that finds", () => {
  const SEALS = 0xf;

  interface Lie {
    readonly magic?: string;
    readonly version?: number;
    readonly count?: number;
    readonly manifest?: number;
    readonly late?: number;
    readonly descriptors?: readonly number[];
    readonly rest?: number;
    readonly seals?: number;
    readonly length?: number;
  }

  function memfd(bytes: Uint8Array, seals = SEALS, length = bytes.length): number {
    const fd = native.memfdCreate("hostile", 2);
    if (bytes.length > 0) native.pwrite(fd, bytes, 0);
    native.ftruncate(fd, length);
    native.addSeals(fd, seals);
    return fd;
  }

  function lie(each: Lie): number {
    const descriptors = each.descriptors ?? [];
    const bytes = new Uint8Array(24 + 4 * descriptors.length + (each.rest ?? 3));
    const view = new DataView(bytes.buffer);
    bytes.set(new TextEncoder().encode(each.magic ?? "VFLUEXEC"));
    view.setUint32(8, each.version ?? 1, true);
    view.setUint32(12, each.count ?? descriptors.length, true);
    view.setUint32(16, each.manifest ?? 2, true);
    view.setUint32(20, each.late ?? 1, true);
    for (const [index, fd] of descriptors.entries()) view.setInt32(24 + 4 * index, fd, true);
    return memfd(bytes, each.seals, each.length);
  }

  it("a hand-over has it", async () => {
    const counter = native.eventfd();
    native.setCloseOnExec(counter, false);
    native.eventfdWrite(counter, 42);
    process.env.VFIO_LIVE_UPDATE = String(lie({ descriptors: [counter] }));
    const carrier = incomingExec();
    if (carrier === undefined) throw new Error("there is one");
    expect(process.env.VFIO_LIVE_UPDATE).toBeUndefined();
    // From here on, and not from the receipt on.
    expect(native.setCloseOnExec(counter, true)).toBe(1);
    const { manifest, descriptors } = await carrier.receive(wait);
    expect(manifest).toEqual(new Uint8Array(2));
    expect(await carrier.ready(wait)).toEqual(new Uint8Array(1));
    expect(native.eventfdRead(descriptors[0]?.number ?? -1)).toBe(42);
    await expect(carrier.receive(wait)).rejects.toMatchObject({ code: "ERR_INVALID_STATE" });
    carrier.close();
    expect(descriptors[0]?.closed).toBe(false);
    descriptors[0]?.close();
    expect(incomingExec()).toBeUndefined();
  });

  it("a hand-over and does not receive it has closed everything", () => {
    const before = openDescriptors();
    process.env.VFIO_LIVE_UPDATE = String(lie({ descriptors: [native.eventfd(), native.eventfd()] }));
    incomingExec()?.close();
    expect(openDescriptors()).toBe(before);
  });

  it("a variable that names no sealed memfd refuses, and leaves what it names alone", () => {
    const counter = own(native.eventfd());
    const file = own(openSync(program, "r"));
    const unsealed = own(lie({ seals: 0 }));
    const half = own(lie({ seals: 7 & ~1 }));
    const before = openDescriptors();
    for (const value of [
      "",
      "x",
      "-1",
      "1",
      "9999",
      "4294967296",
      "1e1",
      ` ${counter}`,
      counter,
      file,
      unsealed,
      half,
    ]) {
      process.env.VFIO_LIVE_UPDATE = String(value);
      expect(() => incomingExec(), String(value)).toThrow(/EBADF.*VFIO_LIVE_UPDATE=/);
      expect(process.env.VFIO_LIVE_UPDATE).toBeUndefined();
    }
    expect(openDescriptors()).toBe(before);
  });

  const two = () => [native.eventfd(), native.eventfd()];
  const runtimes = () => {
    const found = readdirSync("/proc/self/fd").find((fd) => {
      try {
        return readlinkSync(`/proc/self/fd/${fd}`) === "anon_inode:[eventpoll]";
      } catch {
        return false;
      }
    });
    return Number(found);
  };
  it.each<[string, string, () => Lie]>([
    ["no bytes", "EBADMSG", () => ({ length: 0 })],
    ["half a header", "EBADMSG", () => ({ length: 23 })],
    ["another magic", "EBADMSG", () => ({ magic: "VFLUEXEK" })],
    ["a later version", "EOPNOTSUPP", () => ({ version: 2, descriptors: two() })],
    ["more descriptors than listed", "EBADMSG", () => ({ count: 100 })],
    ["4 billion descriptors", "EBADMSG", () => ({ count: 0xffffffff })],
    ["4 billion descriptors in a file with holes", "EBADMSG", () => ({ count: 0xffffffff, length: 2 ** 35 })],
    ["a manifest that is longer", "EBADMSG", () => ({ manifest: 3, descriptors: two() })],
    ["a manifest that is shorter", "EBADMSG", () => ({ manifest: 1, descriptors: two() })],
    ["a last part that is longer", "EBADMSG", () => ({ late: 4, descriptors: two() })],
    ["a manifest of 4 GiB", "EMSGSIZE", () => ({ manifest: 0xffffffff, length: 2 ** 32, descriptors: two() })],
    ["a file that is cut", "EBADMSG", () => ({ length: 26 })],
    ["a number of stdio", "EBADMSG", () => ({ descriptors: [...two(), 1] })],
    ["a number that is not open", "EBADMSG", () => ({ descriptors: [9999, ...two()] })],
    ["a negative number", "EBADMSG", () => ({ descriptors: [-1, ...two()] })],
    ["the runtime's own descriptor", "EBADMSG", () => ({ descriptors: [...two(), runtimes()] })],
    [
      "a number twice",
      "EBADMSG",
      () => {
        const [fd = -1, other = -1] = two();
        return { descriptors: [fd, other, fd] };
      },
    ],
  ])("%s refuses (%s), and closes everything", (_, code, make) => {
    const before = openDescriptors();
    process.env.VFIO_LIVE_UPDATE = String(lie(make()));
    expect(() => incomingExec()).toThrow(expect.objectContaining({ code }));
    expect(openDescriptors()).toBe(before);
  });

  it("its own memfd in the list refuses", () => {
    const before = openDescriptors();
    // The lowest number that is free is the memfd's.
    const free = native.eventfd();
    native.close(free);
    process.env.VFIO_LIVE_UPDATE = String(lie({ descriptors: [free] }));
    expect(() => incomingExec()).toThrow(/EBADMSG/);
    expect(openDescriptors()).toBe(before);
  });

  it("limits of its own keeps them", () => {
    const before = openDescriptors();
    process.env.VFIO_LIVE_UPDATE = String(lie({ descriptors: two() }));
    expect(() => incomingExec({ limits: { descriptors: 1 } })).toThrow(/EMSGSIZE/);
    expect(openDescriptors()).toBe(before);
  });

  it("random bytes (seeded) refuses, and leaks nothing", () => {
    const before = openDescriptors();
    const prng = new Prng(Number(process.env.SEED ?? 9));
    let refused = 0;
    for (let round = 0; round < 2000; round++) {
      const [a = -1, b = -1] = two();
      const fd = lie({ descriptors: [a, b], seals: 0 });
      const bytes = new Uint8Array(64);
      const length = native.pread(fd, bytes, 0);
      for (let changes = prng.between(1, 3); changes > 0; changes--) {
        const at = 8 + prng.below(length - 8);
        // Numbers of this process's own are not for a test to close.
        if (at < 24 || at >= 32) native.pwrite(fd, Uint8Array.of(prng.pick([0, 1, 2, 255, prng.below(256)])), at);
      }
      if (prng.oneIn(3)) native.ftruncate(fd, prng.below(length + 9));
      native.addSeals(fd, SEALS);
      process.env.VFIO_LIVE_UPDATE = String(fd);
      try {
        incomingExec()?.close();
      } catch {
        refused++;
        // Where the list was not to be understood, nobody knows what it means.
        if (native.setCloseOnExec(a, true) >= 0) native.close(a);
        if (native.setCloseOnExec(b, true) >= 0) native.close(b);
      }
      expect(openDescriptors()).toBe(before);
    }
    expect(refused).toBeGreaterThan(1000);
  });
});
