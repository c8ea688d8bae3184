/** docs/first-device.md, typed as it stands into one shell in the guest. */
import { execFile } from "node:child_process";
import { mkdirSync, mkdtempSync, rmSync, symlinkSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { listPciDevices } from "vfio/pci";
import { afterAll, beforeAll, expect, it } from "vitest";
import { blocks, root } from "../integration/docs/blocks.js";
import { devices } from "./devices.js";

const run = promisify(execFile);

// The first block opens the shell.
const commands = blocks
  .filter(({ place, language }) => place.startsWith("docs/first-device.md:") && language === "sh")
  .slice(1)
  .flatMap(({ text }) => text.trimEnd().split("\n"))
  // The doctor ends with 1 where it found something to do: here, the device's own driver.
  .map((line) => (line.startsWith("vfio doctor") ? `${line} || [ $? = 1 ]` : line));

let project: string;
beforeAll(() => {
  project = mkdtempSync(join(tmpdir(), "vfio-guide-"));
  mkdirSync(join(project, "dist"));
  symlinkSync(join(root, "dist/examples/look.js"), join(project, "dist/look.js"));
});
afterAll(async () => {
  await run("vfio", ["unbind", "01:00.0"]);
  rmSync(project, { recursive: true });
}, 60_000);

it("every command of the guide succeeds, one after the other", async () => {
  expect(commands).toContain("vfio bind 01:00.0");
  const { stdout } = await run("sh", ["-e", "-c", commands.join("\n")], { cwd: project });
  expect(listPciDevices().find(({ address }) => address === devices.igb)?.driver).toBe("vfio-pci");
  expect(stdout).toContain("bar0 begins with 0x");
}, 300_000);
