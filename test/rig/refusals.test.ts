/** What an error says is what is wrong: each cause is made here, and its sentence is read. */
import { execFileSync } from "node:child_process";
import { closeSync, openSync, writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { type Container, openContainer, PciCommand } from "vfio";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { refusal } from "../helpers/refusal.js";
import { bind, devices, Mdev } from "./devices.js";
import { modes } from "./modes.js";
import { resources } from "./resources.mjs";

const root = fileURLToPath(new URL("../..", import.meta.url));

let bound: Disposable;
let limit: number;
beforeAll(() => {
  bound = bind(devices.edu, devices.ivshmem);
  const options = [`--pid=${process.pid}`, "--nofile", "--output=SOFT", "--noheadings"];
  limit = Number(execFileSync("prlimit", options, { encoding: "utf8" }));
  limitDescriptors(256);
});
afterAll(() => {
  limitDescriptors(limit);
  bound[Symbol.dispose]();
});

/** Sets the limit of this process's descriptors. prlimit(1) needs some itself. */
function limitDescriptors(soft: number): void {
  execFileSync("prlimit", [`--pid=${process.pid}`, `--nofile=${soft}:`]);
}

/** Opens descriptors until only so many more can be opened; closes them when it is disposed of. */
function descriptorsLeft(count: number): Disposable {
  const fillers: number[] = [];
  try {
    for (;;) fillers.push(openSync("/dev/null", "r"));
  } catch {
    for (const fd of fillers.splice(0, count)) closeSync(fd);
  }
  return {
    [Symbol.dispose]: () => {
      for (const fd of fillers) closeSync(fd);
    },
  };
}

it("a mediated device without a driver is not told to go to vfio-pci", () => {
  const mdev = new Mdev("mtty", "1");
  writeFileSync(`/sys/bus/mdev/devices/${mdev.uuid}/driver/unbind`, mdev.uuid);
  using container = openContainer();
  const error = refusal(() => container.attach(mdev.uuid));
  expect(error).toMatchObject({ code: "ENODEV", why: "no driver is bound to it" });
  // Its own advice helps.
  const [, command = ""] = /: (echo .*), and create it again$/.exec(error.fix ?? "") ?? [];
  execFileSync("sh", ["-c", command]);
  using again = new Mdev("mtty", "1");
  using _device = container.attach(again.uuid);
});

it("root that may not open a device node learns of the mount, and not to become root", () => {
  const program = `
    import { openContainer } from "vfio";
    try { openContainer({ mode: "type1" }); } catch ({ code, why, fix }) { console.log(JSON.stringify({ code, why, fix })); }`;
  const mounts = "mount --bind /dev /dev && mount -o remount,bind,nodev /dev";
  const node = [process.execPath, "--input-type=module", "--eval", program];
  const args = ["--mount", "sh", "-c", `${mounts} && exec "$@"`, "sh", ...node];
  const output = execFileSync("unshare", args, { cwd: root, encoding: "utf8" });
  expect(JSON.parse(output)).toEqual({
    code: "EACCES",
    why: "/dev is mounted so that no device on it can be opened (nodev)",
    fix: "use the host's /dev, or: mount -o remount,dev /dev",
  });
});

describe.each(modes)("in %s", (mode) => {
  let before: ReturnType<typeof resources>;
  let container: Container;

  beforeEach(() => {
    before = resources();
    container = openContainer({ mode });
  });

  afterEach(() => {
    container.close();
    expect(resources()).toEqual(before);
  });

  it("a limit of descriptors is named wherever it is met, and nothing stays behind", () => {
    const why = "this process has as many descriptors open as its limit allows";
    const inContainer = resources();
    /** What attaching throws where so many descriptors are left; undefined where they suffice. */
    const attachWith = (left: number): unknown => {
      using _ = descriptorsLeft(left);
      try {
        container.attach(devices.edu);
        return undefined;
      } catch (error) {
        return error;
      }
    };
    let left = 0;
    for (let error = attachWith(left); error !== undefined; error = attachWith(++left)) {
      expect(error).toMatchObject({ code: "EMFILE", why, fix: expect.stringContaining("ulimit -n") });
      expect(resources()).toEqual(inContainer);
    }
    expect(left).toBeGreaterThan(0);
  });

  it("a BAR of a device whose memory space is off is not blamed on the mode", () => {
    container.attach(devices.edu);
    const memory = container.attach(devices.ivshmem);
    const bar = memory.region("bar2").map(0, 4096);
    memory.config.command &= ~PciCommand.memory;
    const why = `the memory space of ${devices.ivshmem} is switched off`;
    expect(refusal(() => container.map(bar))).toMatchObject({ why, fix: expect.stringContaining("COMMAND") });
    expect(container.mappingCount).toBe(0);
  });
});
