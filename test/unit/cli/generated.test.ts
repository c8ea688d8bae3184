/** What is made from the commands' definitions. */
import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { Session } from "../../../lib/cli/command.js";
import { outline } from "../../../lib/cli/outline.js";
import { createProgram } from "../../../lib/cli/program.js";
import { vfio } from "./run.js";

const { stdout, stderr } = process;
const entries = outline(createProgram(new Session({ stdout, stderr, env: {} })));
const has = (program: string) => spawnSync("sh", ["-c", `command -v ${program}`]).status === 0;

let directory: string;
beforeAll(() => {
  directory = mkdtempSync(join(tmpdir(), "vfio-completion-"));
});
afterAll(() => rmSync(directory, { recursive: true }));

async function script(shell: string): Promise<string> {
  const { out } = await vfio(["completion", shell]);
  const path = join(directory, shell);
  writeFileSync(path, out);
  return path;
}

describe.each(["bash", "zsh", "fish"])("completion for %s", (shell) => {
  test("has every command and every option", async () => {
    const { out } = await vfio(["completion", shell]);
    for (const { path, options } of entries) {
      expect(out).toContain(path.at(-1) ?? "");
      for (const { long } of options) expect(out).toContain(shell === "fish" ? `-l ${long?.slice(2)}` : long);
    }
  });

  test.runIf(has(shell))("is a script that the shell can read", async () => {
    const { status, stderr: err } = spawnSync(shell, ["-n", await script(shell)], { encoding: "utf8" });
    expect({ status, err }).toEqual({ status: 0, err: "" });
  });
});

const cases: readonly (readonly [line: string, words: readonly string[]])[] = [
  ["vfio l", ["list", "live-update"]],
  ["vfio live-update ", ["check", "demo"]],
  ["vfio irq --kind ms", ["msix", "msi"]],
  ["vfio list --cl", ["--class"]],
  ["vfio completion z", ["zsh"]],
  ["vfio read 0000:00:00.0 bar0 --mode io", ["iommufd"]],
];

describe.runIf(has("bash"))("bash completes", () => {
  const complete = async (line: string) => {
    // biome-ignore lint/suspicious/noTemplateCurlyInString: it is bash's
    const program = 'source "$1"; COMP_LINE=$2; COMP_POINT=${#COMP_LINE}; _vfio; printf "%s\\n" "${COMPREPLY[@]}"';
    const { stdout: out } = spawnSync("bash", ["-c", program, "bash", await script("bash"), line], {
      encoding: "utf8",
    });
    return out.split("\n").filter((word) => word !== "");
  };

  test.each(cases)("%s", async (line, words) => {
    expect(await complete(line)).toEqual(words);
  });

  test("an address, behind its last colon", async () => {
    for (const word of await complete("vfio info 0000:00:")) expect(word).toMatch(/^[0-9a-f]{2}\.[0-7]$/);
  });

  test("files", async () => {
    expect(await complete(`vfio dump 0000:00:00.0 bar0 ${directory}/ba`)).toEqual([`${directory}/bash`]);
  });
});

describe.runIf(has("fish"))("fish completes", () => {
  test.each(cases)("%s", async (line, words) => {
    const program = `source ${await script("fish")}; complete -C '${line}'`;
    const { stdout: out } = spawnSync("fish", ["--no-config", "-c", program], {
      encoding: "utf8",
      env: { ...process.env, HOME: directory, XDG_CONFIG_HOME: directory, XDG_DATA_HOME: directory },
    });
    const found = out.split("\n").map((each) => each.split("\t")[0] ?? "");
    expect(found.filter((word) => word !== "").sort()).toEqual([...words].sort());
  });
});

describe("the manual page", () => {
  test("has every command, option and example", async () => {
    const { code, out } = await vfio(["man"]);
    expect(code).toBe(0);
    const text = out.replace(/\\-/g, "-").replace(/\\f[BIR]/g, "");
    for (const { path, children, options } of entries) {
      if (children.length > 0) continue;
      expect(text).toContain(`.SS vfio ${path.join(" ")}\n`);
      for (const { long } of options) expect(text).toContain(long ?? "");
    }
    for (const title of ["EXIT STATUS", "ENVIRONMENT", "FILES", "SEE ALSO"]) expect(text).toContain(`.SH ${title}\n`);
  });

  test.runIf(has("groff"))("is one that groff has nothing to say about", async () => {
    const { out } = await vfio(["man"]);
    const { status, stderr: err } = spawnSync("groff", ["-ww", "-man", "-Tutf8", "-z"], {
      input: out,
      encoding: "utf8",
    });
    expect({ status, err }).toEqual({ status: 0, err: "" });
  });
});
