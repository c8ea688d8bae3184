/** What `npm run test:host` says to arguments that are none. What it does with devices takes a host that has some. */
import { execFile } from "node:child_process";
import { fileURLToPath } from "node:url";
import { describe, expect, test } from "vitest";
import { listPciDevices } from "../../lib/pci/index.js";

const program = fileURLToPath(new URL("../host.mjs", import.meta.url));

function testHost(...args: string[]): Promise<{ code: unknown; out: string; err: string }> {
  return new Promise((resolve) => {
    execFile(process.execPath, [program, ...args], (error, out, err) => resolve({ code: error?.code ?? 0, out, err }));
  });
}

describe("the arguments", () => {
  test.each([
    ["none", [], "no device is named"],
    ["a malformed address", ["0000:00:1f"], "must be a PCI address like 0000:01:00.0"],
    ["an address that cannot be", ["00:20.0"], "whose device is 00 to 1f"],
    ["a good address and a malformed one", ["00:1f.7", "disk"], "Received 'disk'"],
    ["an option that there is not", ["--yes", "00:1f.7"], "Unknown option '--yes'"],
  ])("%s", async (_what, args, why) => {
    const { code, out, err } = await testHost(...args);
    expect([code, out]).toEqual([2, ""]);
    expect(err.split("\n")[0]).toContain(why);
    expect(err).toContain("usage: npm run test:host -- [options] <address>...");
    expect(err).toContain("example: npm run test:host -- 0000:01:00.0");
  });

  test("--help", async () => {
    const { code, out, err } = await testHost("--help");
    expect([code, err]).toEqual([0, ""]);
    expect(out).toContain("usage:");
  });
});

describe("a device", () => {
  test("that does not exist", async () => {
    const taken = new Set<string>(listPciDevices().map(({ address }) => address));
    const free = ["ff:1f.7", "fe:1e.6"].find((address) => !taken.has(`0000:${address}`)) ?? "";
    const { code, out, err } = await testHost(free);
    expect([code, out]).toEqual([1, ""]);
    expect(err).toContain("there is no such device");
    expect(err).toContain("lspci -D");
  });

  test("that is a bridge", async ({ skip }) => {
    const bridge = listPciDevices().find(({ classCode }) => classCode >> 16 === 0x06);
    if (bridge === undefined) return skip("this machine has none");
    const { code, err } = await testHost(bridge.address);
    expect(code).toBe(1);
    expect(err).toContain(`${bridge.address} is a bridge`);
  });
});
