import { execFile } from "node:child_process";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { expect, it } from "vitest";

const run = promisify(execFile);
const example = (name: string) => fileURLToPath(new URL(`../../dist/examples/${name}.js`, import.meta.url));

it("the README's program computes and moves memory", async () => {
  const { stdout, stderr } = await run(process.execPath, [example("first-device")]);
  expect(stdout).toContain("10! = 3628800, said the device");
  expect(stdout).toContain('"through the IOMMU and back"');
  expect(stderr).toBe("");
});
