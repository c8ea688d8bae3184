/** Binding by several processes at once, and by one that is killed; sysfs is a directory of ours, which can make a write wait. */
import { type ChildProcess, execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, readFileSync, watch } from "node:fs";
import { readFile } from "node:fs/promises";
import { dirname } from "node:path";
import { text } from "node:stream/consumers";
import { expect, test } from "vitest";
import { bindDriver, formerDriver, planRelease } from "../../lib/pci/index.js";
import { Tree } from "../unit/pci/tree.js";

const address = "0000:01:00.0";
const library = new URL("../../dist/pci/index.js", import.meta.url);
const program = `
  import { bindDriver } from ${JSON.stringify(library.href)};
  const { plan } = bindDriver(${JSON.stringify(address)}, JSON.parse(process.argv[1]));
  console.log(JSON.stringify(plan));
`;

/** A process that binds a driver, and prints the plan when it has. */
function binding(tree: Tree, driver: string) {
  const options = JSON.stringify({ ...tree.paths, driver });
  const child = spawn(process.execPath, ["--input-type=module", "-e", program, options], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  return { child, printed: text(child.stdout), ended: once(child, "exit") };
}

/** A write to this file waits until somebody reads it. */
function makeFifo(tree: Tree, path: string): void {
  tree.remove(path);
  execFileSync("mkfifo", [tree.at(path)]);
}

async function comesTrue(directory: string, condition: () => boolean): Promise<void> {
  const watcher = watch(directory);
  try {
    while (!condition()) await once(watcher, "change");
  } finally {
    watcher.close();
  }
}

/** Waits until a process waits for a lock of flock(2), or has ended. The kernel lists those that wait, and tells nobody. */
async function waitsForLock(child: ChildProcess): Promise<boolean> {
  const waiting = new RegExp(`-> FLOCK +ADVISORY +WRITE +${child.pid} `);
  while (child.exitCode === null && child.signalCode === null) {
    if (waiting.test(readFileSync("/proc/locks", "utf8"))) return true;
    await new Promise(setImmediate);
  }
  return false;
}

test("two processes at once: the second one begins when the first one is done", async () => {
  using tree = new Tree();
  const place = tree.pci(address, { group: 8 });
  makeFifo(tree, "sys/bus/pci/drivers/vfio-pci/bind");
  const first = binding(tree, "vfio-pci");
  await comesTrue(tree.at(place), () => tree.firstLine(`${place}/driver_override`) === "vfio-pci");

  const second = binding(tree, "igb");
  expect(await waitsForLock(second.child)).toBe(true);
  expect(tree.firstLine(`${place}/driver_override`)).toBe("vfio-pci");

  expect(await readFile(tree.at("sys/bus/pci/drivers/vfio-pci/bind"), "utf8")).toBe(`${address}\n`);
  expect(await first.ended).toEqual([0, null]);
  expect(await second.ended).toEqual([0, null]);
  // Its plan was made after the first one's writes.
  expect(JSON.parse(await second.printed)).toMatchObject({
    steps: [{ value: "igb", undo: { value: "vfio-pci" } }, {}],
  });
});

test("a process that is killed leaves a note of the former driver, and no lock", async () => {
  using tree = new Tree();
  const place = tree.pci(address, { driver: "igb", group: 8 });
  makeFifo(tree, "sys/bus/pci/drivers/igb/unbind");
  const note = tree.at(`run/vfio/${address}.json`);
  tree.directory("run/vfio");
  const killed = binding(tree, "vfio-pci");
  await comesTrue(dirname(note), () => existsSync(note));
  killed.child.kill("SIGKILL");
  expect(await killed.ended).toEqual([null, "SIGKILL"]);

  // Before the first write, and after it.
  expect(planRelease(address, tree.paths).steps).toEqual([]);
  tree.remove(`${place}/driver`);
  expect(formerDriver(address, tree.paths)).toEqual({ driver: "igb", override: undefined });
  expect(planRelease(address, tree.paths)).toMatchObject({ to: "igb", chosenBy: "note" });
  // Bound again, it still has the note of its first driver.
  expect(bindDriver(address, tree.paths).active).toBe(true);
  expect(formerDriver(address, tree.paths)).toEqual({ driver: "igb", override: undefined });
});
