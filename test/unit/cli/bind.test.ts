/** Binding in a tree of files: what is written where, and what is noted. The rig's tests have real drivers. */
import { existsSync, readFileSync } from "node:fs";
import { afterEach, beforeEach, expect, test } from "vitest";
import { Tree } from "../pci/tree.js";
import { vfio } from "./run.js";

const address = "0000:01:00.0";
const noteAt = `run/vfio/${address}.json`;
let tree: Tree;
let place: string;

beforeEach(() => {
  tree = new Tree();
  place = tree.pci(address, { driver: "igb", group: 11 });
  tree.file("sys/bus/pci/drivers_probe", "");
});
afterEach(() => tree[Symbol.dispose]());

const run = (command: string, ...args: string[]) => vfio([command, "--host", tree.root, ...args]);

/** What the kernel would do. */
function become(driver: string): void {
  tree.link(`${place}/driver`, `sys/bus/pci/drivers/${driver}`);
  if (driver === "vfio-pci") tree.file(`${place}/driver_override`, "vfio-pci\n");
}

test("a dry run prints each write as a command, and changes nothing", async () => {
  const { code, out } = await run("bind", "-n", "01:00.0");
  const pci = tree.at("sys/bus/pci");
  expect(out.split("\n")).toEqual([
    `echo ${address} > ${pci}/drivers/igb/unbind`,
    `echo vfio-pci > ${pci}/devices/${address}/driver_override`,
    `echo ${address} > ${pci}/drivers/vfio-pci/bind`,
    "",
  ]);
  expect(code).toBe(0);
  expect(tree.firstLine("sys/bus/pci/drivers/igb/unbind")).toBe("");
  expect(existsSync(tree.at(noteAt))).toBe(false);
});

test("bind notes the former driver, and unbind gives the device back to it", async () => {
  expect(await run("bind", address)).toMatchObject({ code: 0, out: `${address}: vfio-pci (was with igb)\n` });
  expect(tree.firstLine("sys/bus/pci/drivers/vfio-pci/bind")).toBe(address);
  expect(JSON.parse(readFileSync(tree.at(noteAt), "utf8"))).toEqual({ driver: "igb", override: null, to: "vfio-pci" });
  become("vfio-pci");

  const { out } = await run("unbind", "--dry-run", address);
  const pci = tree.at("sys/bus/pci");
  expect(out.split("\n")).toEqual([
    `echo ${address} > ${pci}/drivers/vfio-pci/unbind`,
    `echo '' > ${pci}/devices/${address}/driver_override`,
    `echo ${address} > ${pci}/drivers/igb/bind`,
    "",
  ]);
  expect((await run("unbind", address)).code).toBe(0);
  expect(tree.firstLine("sys/bus/pci/drivers/igb/bind")).toBe(address);
  expect(existsSync(tree.at(noteAt))).toBe(false);
});

test("a device that is passed on from driver to driver goes back to the first", async () => {
  await run("bind", address, "--driver", "nvme");
  become("nvme");
  await run("bind", address);
  become("vfio-pci");
  expect(JSON.parse(readFileSync(tree.at(noteAt), "utf8"))).toMatchObject({ driver: "igb", to: "vfio-pci" });
});

test("without a note, the kernel chooses", async () => {
  become("vfio-pci");
  const { code, out } = await run("unbind", "-n", address);
  expect(code).toBe(0);
  expect(out).toContain(`echo ${address} > ${tree.at("sys/bus/pci/drivers_probe")}`);
});

test.each([
  ["of somebody who has bound another driver since", { driver: "igb", override: null, to: "nvme" }],
  ["that is none", { driver: "../../evil", override: null, to: "vfio-pci" }],
  ["that is not whole", { driver: "igb" }],
])("a note %s is not followed", async (_, note) => {
  become("vfio-pci");
  tree.file(noteAt, JSON.stringify(note));
  expect((await run("unbind", "-n", address)).out).toContain("drivers_probe");
});

test("a device with a driver of its own needs no giving back", async () => {
  expect(await run("unbind", address)).toMatchObject({ code: 0, out: `${address}: igb (was not taken from it)\n` });
});

test("a device in use is refused, and a dry run says so too", async () => {
  tree.file(`${place}/net/eth0/flags`, "0x1003\n");
  tree.link("sys/class/net/eth0", `${place}/net/eth0`);
  const refused = await run("bind", address);
  expect(refused).toMatchObject({ code: 5, out: "" });
  expect(refused.err).toMatch(/^vfio bind: .*eth0 is up\. Fix: ip link set eth0 down.*--force\n$/);
  const dry = await run("bind", "-n", address);
  expect(dry.code).toBe(5);
  expect(dry.out).toContain("eth0 is up; it would be refused");
  expect((await run("bind", "-n", address, "--force")).code).toBe(0);
});

test("a driver that is not there", async () => {
  const { code, err } = await run("bind", address, "--driver", "no-such");
  expect(code).toBe(1);
  expect(err).toMatch(/no PCI driver of this name.*\. Fix: .*modprobe no-such/);
});

test("one of several that is not there: none is bound", async () => {
  const { code } = await run("bind", address, "02:00.0");
  expect(code).toBe(3);
  expect(tree.firstLine("sys/bus/pci/drivers/igb/unbind")).toBe("");
});

test("JSON", async () => {
  const { out } = await run("bind", "-n", address, "--json");
  expect(JSON.parse(out)).toMatchObject({
    schema: 1,
    bindings: [{ address, from: "igb", to: "vfio-pci", done: false, uses: [], writes: [{ value: address }, {}, {}] }],
  });
});
