/** A checkout as its owner and root use it in turn: the demo installs nothing unasked, npx builds nothing, builds stay the owner's. */
import { execFile } from "node:child_process";
import {
  chmodSync,
  chownSync,
  copyFileSync,
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  rmSync,
  statSync,
  symlinkSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { RigError } from "../../lib/rig/errors.js";
import { rigPreparation } from "../../lib/rig/run.js";

const run = promisify(execFile);
const root = fileURLToPath(new URL("../..", import.meta.url));
const nobody = 65_534;

let directory: string;
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), "vfio-checkout-"));
});
afterEach(() => rmSync(directory, { recursive: true }));

describe("npm start without a kernel", () => {
  test("names the command that continues, and what it does first", async () => {
    const env = { ...process.env, XDG_CACHE_HOME: directory, NO_COLOR: "1" };
    const { stdout } = await run(process.execPath, [join(root, "dist/cli/start.js")], { env });
    expect(stdout).toContain("The same on a real kernel, in an emulated machine: npm start -- --kernel\n");
    expect(stdout).toMatch(/ it fetches a kernel's source \(167 MB\) and builds it, once: about ten minutes/);
    expect(readdirSync(directory)).toEqual([]);
  }, 30_000);

  test("counts a missing kernel, and no kernel where the user names one", async () => {
    const steps = await rigPreparation({ directory }).catch((error: unknown) => error);
    if (steps instanceof RigError) throw steps;
    expect(steps).toContainEqual(expect.stringContaining("fetches a kernel's source"));
    const named = await rigPreparation({ directory, kernel: "bzImage" });
    expect(named.filter((step) => step.includes("kernel"))).toEqual([]);
  });
});

test.runIf(process.geteuid?.() === 0)("root builds as the owner of the checkout", async () => {
  mkdirSync(join(directory, ".ci"));
  copyFileSync(join(root, ".ci/as-owner.mjs"), join(directory, ".ci/as-owner.mjs"));
  chownSync(directory, nobody, nobody);
  chmodSync(directory, 0o755);
  const made = join(directory, "made");
  const script = 'touch "$0" && echo "$HOME"';
  const asOwner = join(directory, ".ci/as-owner.mjs");
  const { stdout } = await run(process.execPath, [asOwner, "sh", "-c", script, made], { cwd: directory });
  expect(statSync(made)).toMatchObject({ uid: nobody, gid: nobody });
  expect(stdout.trim()).not.toBe(process.env["HOME"]);
  await expect(run(process.execPath, [asOwner, "sh", "-c", "exit 3"])).rejects.toMatchObject({ code: 3 });
});

test("npx runs the command of a checkout and builds nothing", async () => {
  for (const name of ["package.json", "binding.gyp"]) copyFileSync(join(root, name), join(directory, name));
  cpSync(join(root, "dist"), join(directory, "dist"), { recursive: true });
  symlinkSync(join(root, "node_modules"), join(directory, "node_modules"));
  const env = { ...process.env, npm_config_cache: join(directory, "cache"), npm_config_update_notifier: "false" };
  const { stdout } = await run("npx", ["--offline", "vfio", "--version"], { cwd: directory, env });
  expect(stdout).toMatch(/^\d+\.\d+\.\d+\n$/);
  expect(existsSync(join(directory, "build"))).toBe(false);
}, 60_000);
