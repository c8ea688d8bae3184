import { execFile } from "node:child_process";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { expect, test } from "vitest";

test("the example drives a device in another process", async () => {
  const example = fileURLToPath(new URL("../../../dist/examples/vfio-user.js", import.meta.url));
  const { stdout, stderr } = await promisify(execFile)(process.execPath, [example]);
  expect(stdout).toContain("1234:11e8 behind edu.sock: edu 1.0");
  expect(stdout).toContain("10! = 3628800");
  expect(stdout).toContain('"over a socket and back"');
  expect(stdout).toContain("written where nothing is mapped any more: 0 bytes");
  expect(stderr).toBe("");
});
