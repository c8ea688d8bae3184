/** Where the addon is looked for, and what is said where it cannot be had, in processes of their own. */
import { execFile } from "node:child_process";
import { copyFileSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { type OutputOptions, rolldown } from "rolldown";
import type { Support } from "vfio";
import { afterAll, beforeAll, describe, expect, test } from "vitest";

const library = new URL("../../dist/index.js", import.meta.url).href;
const root = fileURLToPath(new URL("../../", import.meta.url));
const built = join(root, "build/Release/vfio.node");
const run = promisify(execFile);

let directory: string;
beforeAll(() => {
  directory = mkdtempSync(join(tmpdir(), "vfio-addon-"));
});
afterAll(() => rmSync(directory, { recursive: true }));

/** Runs Node in a directory without anything of the package; the program prints one object. */
async function node<T>(args: readonly string[], env: NodeJS.ProcessEnv = {}): Promise<T> {
  const { stdout } = await run(process.execPath, args, {
    cwd: directory,
    env: { PATH: process.env.PATH, NODE_NO_WARNINGS: "1", ...env },
  });
  return JSON.parse(stdout);
}

const tell = (expression: string) =>
  `import(${JSON.stringify(library)}).then(async (vfio) => console.log(JSON.stringify(${expression})))`;

const support = (flags: readonly string[], env?: NodeJS.ProcessEnv) =>
  node<Support>([...flags, "-e", tell("vfio.support")], env);

describe("VFIO_ADDON", () => {
  test("names the addon, from the current directory on", async () => {
    copyFileSync(built, join(directory, "elsewhere.node"));
    const found = `process.report.getReport().sharedObjects.filter((path) => path.endsWith(".node"))`;
    expect(await node(["-e", tell(found)], { VFIO_ADDON: "elsewhere.node" })).toEqual([
      join(directory, "elsewhere.node"),
    ]);
  });

  test("takes no other one where it names none", async () => {
    expect(await support([], { VFIO_ADDON: "/nowhere/vfio.node" })).toEqual({
      supported: false,
      why: "VFIO_ADDON names /nowhere/vfio.node, which is not there",
      fix: "set it to the path of an addon, or unset it",
    });
  });

  test("may be empty", async () => {
    expect(await support([], { VFIO_ADDON: "" })).toEqual({ supported: true });
  });
});

describe("without an addon", () => {
  const main = fileURLToPath(new URL("cli/main.js", library));
  const env = { PATH: process.env.PATH, NO_COLOR: "1", VFIO_ADDON: "/nowhere/vfio.node" };

  test("the doctor reports it first", async () => {
    const { stdout } = await run(process.execPath, [main, "doctor", "--json"], { env }).catch((failed: unknown) => {
      if (failed instanceof Error && "stdout" in failed) return { stdout: String(failed.stdout) };
      throw failed;
    });
    const { works, checks } = JSON.parse(stdout);
    expect(works).toBe(false);
    expect(checks[0]).toEqual({
      id: "addon",
      title: "native addon",
      state: "problem",
      found: "VFIO_ADDON names /nowhere/vfio.node, which is not there",
      fix: "set it to the path of an addon, or unset it",
    });
  });

  test.each(["demo", "irq 00:00.0"])("vfio %s says why and what to do, and builds nothing", async (command) => {
    const failed: unknown = await run(process.execPath, [main, ...command.split(" ")], { env }).catch((error) => error);
    expect(failed).toMatchObject({
      code: 1,
      stdout: "",
      stderr: expect.stringContaining("VFIO_ADDON names /nowhere/vfio.node, which is not there"),
    });
  });
});

describe("Node's permission model", () => {
  const permission = process.allowedNodeEnvironmentFlags.has("--permission")
    ? "--permission"
    : "--experimental-permission";
  const readPackage = `--allow-fs-read=${root}`;

  test.each([
    ["reads and addons", [`--allow-fs-read=${root}dist`, `--allow-fs-read=${root}package.json`]],
    ["addons", [readPackage]],
    ["reads", ["--allow-addons", `--allow-fs-read=${root}dist`, `--allow-fs-read=${root}package.json`]],
  ])("without %s: the fix is the flags that let everything work", async (_, flags) => {
    const refused = await support([permission, ...flags]);
    if (refused.supported) throw new Error("the permission model refuses nothing");
    expect(refused.why).toMatch(/permission model does not let this process read|addons is disabled/);
    const [, given] = /^start Node with (.+)$/.exec(refused.fix) ?? [];
    const answer = await node([
      permission,
      ...(given?.split(" ") ?? []),
      "-e",
      tell(`{
          support: vfio.support,
          devices: typeof (await import(${JSON.stringify(new URL("pci/index.js", library).href)})).listPciDevices().length,
          first: vfio.diagnose().checks[0],
          attached: (() => {
            try { vfio.openContainer().close(); } catch (error) { return error.name; }
            return "VfioError";
          })(),
        }`),
    ]);
    expect(answer).toMatchObject({
      support: { supported: true },
      devices: "number",
      first: { id: "addon", state: "ok" },
      attached: "VfioError",
    });
  });

  test("the C library is found out without /proc", async () => {
    expect(await support([permission, "--allow-addons", readPackage])).toEqual({ supported: true });
  });
});

test("--no-addons", async () => {
  expect(await support(["--no-addons"])).toMatchObject({ supported: false, fix: "start Node without --no-addons" });
});

// The engines themselves are in .ci/package/run.
test.each([
  ["bun", "this is Bun 1.2.3, "],
  ["deno", "this is Deno 1.2.3, "],
])("an engine that crashes with the addon is refused: %s", async (name, reason) => {
  const engine = `Object.defineProperty(process, "versions", { value: { ...process.versions, ${name}: "1.2.3" } })`;
  const answer = await support(["--import", `data:text/javascript,${encodeURIComponent(engine)}`]);
  expect(answer).toEqual({
    supported: false,
    why: expect.stringContaining(reason),
    fix: "run the program with Node",
  });
});

describe("in a bundle", () => {
  const program = `
    import { DmaBuffer, support } from ${JSON.stringify(fileURLToPath(library))};
    import { PciDevice } from ${JSON.stringify(fileURLToPath(new URL("vfio-user/index.js", library)))};
    const works = () => {
      new PciDevice({ vendorId: 1, deviceId: 2, classCode: 0xff0000 }).close();
      DmaBuffer.allocate(4096).close();
      return true;
    };
    console.log(JSON.stringify({ support, works: support.supported && works() }));`;

  async function bundle(file: string, output: OutputOptions, define: Record<string, string> = {}): Promise<string> {
    const input = join(directory, "program.mjs");
    writeFileSync(input, program);
    const made = await rolldown({ input, platform: "node", transform: { define } });
    await made.write({ ...output, file: join(directory, file) });
    await made.close();
    return join(directory, file);
  }

  test.each([
    ["ES modules", () => bundle("bundle.mjs", { format: "esm" })],
    ["CommonJS", () => bundle("bundle.cjs", { format: "cjs" })],
    ["CommonJS without import.meta", () => bundle("empty.cjs", { format: "cjs" }, { "import.meta.url": "undefined" })],
  ])("of %s: VFIO_ADDON is asked for, and suffices", async (_, make) => {
    const file = await make();
    expect(await node([file])).toEqual({
      support: {
        supported: false,
        why: expect.stringContaining("this module is not in its package"),
        fix: expect.stringContaining("set VFIO_ADDON to the path of the addon"),
      },
      works: false,
    });
    expect(await node([file], { VFIO_ADDON: built })).toEqual({ support: { supported: true }, works: true });
  });
});
