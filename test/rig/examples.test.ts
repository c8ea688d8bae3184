import { execFile } from "node:child_process";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { expect, it } from "vitest";
import { devices } from "./devices.js";

const run = promisify(execFile);
const example = (name: string) => fileURLToPath(new URL(`../../dist/examples/${name}.js`, import.meta.url));

it("the README's program computes and moves memory", async () => {
  const { stdout, stderr } = await run(process.execPath, [example("first-device")]);
  expect(stdout).toContain("10! = 3628800, said the device");
  expect(stdout).toContain('"through the IOMMU and back"');
  expect(stderr).toBe("");
});

it("the first guide's program looks at a device", async () => {
  const { stdout, stderr } = await run(process.execPath, [example("look"), devices.nvme]);
  expect(stdout).toContain(`${devices.nvme}: 1b36:10, by way of container (iommufd)`);
  expect(stdout).toContain("  bar0: 16384 bytes, can be mapped");
  expect(stdout).toContain("  msix: 65");
  expect(stdout).toMatch(/2097152 bytes of memory are at IOVA 0x[0-9a-f]+/);
  expect(stderr).toBe("");
});
