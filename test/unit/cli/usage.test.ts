import { describe, expect, test } from "vitest";
import { Session } from "../../../lib/cli/command.js";
import { outline } from "../../../lib/cli/outline.js";
import { createProgram } from "../../../lib/cli/program.js";
import { vfio } from "./run.js";

const { stdout, stderr } = process;
const entries = outline(createProgram(new Session({ stdout, stderr, env: {} })));
const leaves = entries.filter(({ children, path }) => children.length === 0 && path[0] !== "rig");

/** One line that says what is wrong, and what to do about it. */
const oneLine = (start: string) => new RegExp(`^${start}: .+\\. Fix: .+\\n$`);

describe.each(leaves.map(({ path, arguments: list }) => ({ path, name: path.join(" "), list })))("vfio $name", ({
  path,
  name,
  list,
}) => {
  test("an option that it does not have", async () => {
    const { code, out, err } = await vfio([...path, "--nonsense"]);
    expect({ code, out }).toEqual({ code: 2, out: "" });
    expect(err).toMatch(oneLine(`vfio ${name}`));
  });

  test("its help has examples, and fits into 80 columns", async () => {
    const { code, out } = await vfio([...path, "--help"], { columns: 80, env: { NO_COLOR: "1" } });
    expect(code).toBe(0);
    expect(out).toContain("Examples:");
    // The demos have nothing to say to programs.
    if (path.at(-1) !== "demo") expect(out).toContain("--json");
    for (const line of out.split("\n")) expect(line.length, line).toBeLessThanOrEqual(80);
    const [usage] = out.split("\n");
    expect(usage).toContain(`vfio ${name}`);
  });

  test.runIf(list.some((argument) => argument.required))("without its arguments", async () => {
    const { code, out, err } = await vfio([...path]);
    expect({ code, out }).toEqual({ code: 2, out: "" });
    expect(err).toMatch(oneLine(`vfio ${name}`));
  });

  test.runIf(list[0]?.name() === "address")("an address that is none, and one where no device is", async () => {
    const more = list.slice(1).map((argument) => (argument.name() === "offset=value" ? "0=0" : "0"));
    const wrong = await vfio([...path, "nonsense", ...more]);
    expect({ code: wrong.code, out: wrong.out }).toEqual({ code: 2, out: "" });
    expect(wrong.err).toMatch(oneLine(`vfio ${name}`));
    expect(wrong.err).toContain("0000:01:00.0");

    const absent = await vfio([...path, "fff0:00:00.0", ...more]);
    expect({ code: absent.code, out: absent.out }).toEqual({ code: 3, out: "" });
    expect(absent.err).toMatch(oneLine(`vfio ${name}`));
    expect(absent.err).toMatch(/there is no such device.*vfio list/);

    const forPrograms = await vfio([...path, "fff0:00:00.0", ...more, "--json"]);
    expect(JSON.parse(forPrograms.out)).toMatchObject({ schema: 1, error: { code: "ENODEV", exitCode: 3 } });
    expect({ code: forPrograms.code, err: forPrograms.err }).toEqual({ code: 3, err: absent.err });

    const verbose = await vfio([...path, "fff0:00:00.0", ...more, "--verbose"]);
    expect(verbose.err).toMatch(/syscall: 'open'/);
  });
});

test.each([
  [["lst"], "Did you mean list?"],
  [["list", "--id", "nonsense"], "8086:10c9"],
  [["list", "--group", "-1"], "a number from 0"],
  [["list", "--host", "/no/such"], "There is no /no/such/sys"],
  [["doctor", "--host", "/no/such"], "There is no /no/such/sys"],
  [["list", "--pci-ids", "/no/such/file"], "leave --pci-ids out"],
  [["read", "00:00.0", "bar0", "ten"], "in decimal or hexadecimal"],
  [["read", "00:00.0", "bar0", "--width", "3"], "1, 2, 4 or 8"],
  [["write", "00:00.0", "bar0", "8"], "like 0x60=1"],
  [["irq", "00:00.0", "--kind", "nmi"], "msix, msi, intx"],
  [["irq", "00:00.0", "--trigger"], "need --watch"],
  [["irq", "00:00.0", "--watch", "--write", "1=2"], "bar0:0x60=1"],
  [["doctor", "--attach"], "needs a device"],
  [["read", "00:00.0", "bar0", "--mode", "type3"], "iommufd"],
  [["completion", "tcsh"], "bash, zsh, fish"],
  [["live-update", "chek"], "unknown command"],
  [["live-update", "demo", "--mappings", "3"], "divisors of 10000"],
  [["trace"], "missing required argument"],
  [["trace", "-e", "IOMMU_*,nonsense", "--", "node"], "There is no call nonsense"],
  [["trace", "-e", "", "node"], "It is empty"],
  [["trace", "-o", "/no/such/directory/file", "node"], "a directory that exists"],
  [["trace", "no-such-program"], "there is no program no-such-program"],
])("%j is refused with advice", async (args, advice) => {
  const { code, out, err } = await vfio(args);
  expect(code).toBeGreaterThan(0);
  expect(out).toBe("");
  expect(err).toContain(advice);
  expect(err).toMatch(/\. Fix: .+\n$/);
  expect(err.trimEnd()).not.toContain("\n");
});

test("an error in JSON is on standard output, and its line is where it always is", async () => {
  const { code, out, err } = await vfio(["info", "fff0:00:00.0", "--json"]);
  expect(code).toBe(3);
  expect(JSON.parse(out)).toEqual({
    schema: 1,
    error: {
      message: "fff0:00:00.0: there is no such device",
      fix: expect.stringContaining("vfio list"),
      code: "ENODEV",
      exitCode: 3,
    },
  });
  expect(err).toMatch(oneLine("vfio info"));
});

test("--verbose says where it happened", async () => {
  const { err } = await vfio(["info", "fff0:00:00.0", "--verbose"]);
  expect(err.split("\n")[0]).toMatch(/Fix: /);
  expect(err).toMatch(/syscall: 'open'/);
  expect(err).toMatch(/\n +at /);
});

test("colour only on a terminal, unless the environment says otherwise", async () => {
  const controls = String.fromCharCode(27);
  const colored = async (columns: number | undefined, env: Record<string, string>) => {
    const screen = columns === undefined ? { env } : { columns, env };
    const { err } = await vfio(["info", "fff0:00:00.0"], screen);
    return err.includes(controls);
  };
  expect(await colored(undefined, {})).toBe(false);
  expect(await colored(80, {})).toBe(true);
  expect(await colored(80, { NO_COLOR: "1" })).toBe(false);
  expect(await colored(80, { TERM: "dumb" })).toBe(false);
  expect(await colored(undefined, { FORCE_COLOR: "1" })).toBe(true);
  // picocolors alone would take this for a terminal.
  expect(await colored(undefined, { CI: "1" })).toBe(false);
});

test("the program's own help fits into 80 columns", async () => {
  const { code, out } = await vfio(["--help"], { columns: 80, env: { NO_COLOR: "1" } });
  expect(code).toBe(0);
  for (const line of out.split("\n")) expect(line.length, line).toBeLessThanOrEqual(80);
  for (const { path } of leaves) expect(out).toContain(`  ${path[0]} `);
});

test("the version is the package's", async () => {
  const { code, out } = await vfio(["--version"]);
  expect({ code, out }).toEqual({ code: 0, out: expect.stringMatching(/^\d+\.\d+\.\d+\n$/) });
});
