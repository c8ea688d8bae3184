import { execFile } from "node:child_process";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { expect, test } from "vitest";

const run = promisify(execFile);
const example = (name: string) => fileURLToPath(new URL(`../../../dist/examples/${name}.js`, import.meta.url));

test("the example drives a device in another process", async () => {
  const { stdout, stderr } = await run(process.execPath, [example("vfio-user")]);
  expect(stdout).toContain("1234:11e8 behind edu.sock: edu 1.0");
  expect(stdout).toContain("10! = 3628800");
  expect(stdout).toContain('"over a socket and back"');
  expect(stdout).toContain("written where nothing is mapped any more: 0 bytes");
  expect(stderr).toBe("");
});

test("the demo runs without privileges, and hands its device over in the middle of a transfer", async () => {
  // As root, without any of root's capabilities.
  const drop = process.geteuid?.() === 0 ? ["setpriv", "--inh-caps=-all", "--bounding-set=-all"] : [];
  const [program = "", ...args] = [...drop, process.execPath, example("anywhere")];
  const { stdout, stderr } = await run(program, args);
  expect(stdout).toContain("10! = 3628800, said an MSI");
  expect(stdout).toContain("4096 bytes to the device and back, the same");
  expect(stdout).toMatch(/live update .*(in the middle of a transfer|between two transfers): \d+\.\d ms of silence/);
  expect(stdout).toMatch(/process \d+ has its end, and its 4096 bytes/);
  expect(stderr).toBe("");
});
