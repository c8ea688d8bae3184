import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { text } from "node:stream/consumers";
import { fileURLToPath } from "node:url";
import { afterEach, beforeEach, describe, expect, test } from "vitest";

const program = fileURLToPath(new URL("../../../dist/cli/main.js", import.meta.url));

let temporary: string;
beforeEach(async () => {
  temporary = await mkdtemp(join(tmpdir(), "vfio-cli-"));
});
afterEach(async () => await rm(temporary, { recursive: true }));

/** Start the command as a user does, with a directory for temporary files that nobody else uses. */
function start(args: readonly string[], cwd = temporary) {
  const child = spawn(process.execPath, [program, "rig", ...args], {
    cwd,
    env: { ...process.env, TMPDIR: temporary, NO_COLOR: "1" },
    stdio: ["pipe", "pipe", "pipe"],
  });
  const closed = once(child, "close").then(([code]: unknown[]) => code);
  return { child, stdin: child.stdin, stdout: child.stdout, stderr: child.stderr, closed };
}

async function run(args: readonly string[]) {
  const { stdin, stdout, stderr, closed } = start(args);
  stdin.end();
  const [out, err, code] = await Promise.all([text(stdout), text(stderr), closed]);
  return { code, out, err };
}

/** The processes that have our directory on their command line: QEMU's. */
async function qemus(): Promise<string[]> {
  const found = [];
  for (const pid of await readdir("/proc")) {
    const line = await readFile(`/proc/${pid}/cmdline`, "latin1").catch(() => "");
    if (/qemu/.test(line) && line.includes(temporary)) found.push(pid);
  }
  return found;
}

describe("without a guest", () => {
  test.each([
    ["a command is missing", []],
    ["--shell takes no command", ["--shell", "true"]],
    ["must be a size", ["--memory", "lots", "true"]],
    ["It must be 1 to 8", ["--cpus", "9", "true"]],
    ["Allowed choices are intel, amd, virtio, none", ["--iommu", "arm", "true"]],
    ["a number of seconds", ["--timeout", "soon", "true"]],
    ["unknown option '--nonsense'", ["--nonsense", "true"]],
    ["ENOENT", ["--kernel", "/no/such/kernel", "true"]],
    ["is not an x86 bzImage", ["--kernel", "/etc/passwd", "true"]],
    ["There is no program no-such-qemu", ["--qemu", "no-such-qemu", "true"]],
    ["has no edu", ["--qemu", "/bin/true", "true"]],
  ])("'%s' is the rig's own failure", async (message, args) => {
    const { code, out, err } = await run(args);
    expect(err).toContain(message);
    expect(err).toMatch(/^vfio rig: .+\n$/);
    expect(out).toBe("");
    expect(code).toBe(125);
    expect(await readdir(temporary)).toEqual([]);
  });

  test("help is no failure", async () => {
    const { code, out } = await run(["--help"]);
    expect(code).toBe(0);
    expect(out).toContain("--iommu <kind>");
  });

  test("a kernel that does not come up is killed and reported", async () => {
    // A boot sector with a setup header's magic and nothing behind it.
    const kernel = join(temporary, "bzImage");
    const image = Buffer.alloc(64 * 1024);
    image.write("HdrS", 0x202, "latin1");
    await writeFile(kernel, image);
    const { code, err } = await run(["--kernel", kernel, "--timeout", "3", "true"]);
    expect(err).toMatch(/did not come up within 3 s and was killed|QEMU ended with|ended before it was up/);
    expect(code).toBe(125);
    expect(await qemus()).toEqual([]);
  });
});

describe("with a guest", () => {
  test("the command's words, directory, streams and exit code are the user's", async () => {
    const { stdin, stdout, stderr, closed } = start(
      ["--", "sh", "-c", 'pwd; cat; echo "<$1>" >&2; sleep 1000 & exit 7', "sh", "a  b"],
      "/usr/share",
    );
    stdin.end("typed\n");
    // What the command left running neither holds its output open nor keeps the guest up.
    expect(await Promise.all([text(stdout), text(stderr), closed])).toEqual(["/usr/share\ntyped\n", "<a  b>\n", 7]);
    expect(await readdir(temporary)).toEqual([]);
  });

  test("Ctrl-C kills the guest and leaves nothing", async () => {
    const { child, stdout, closed } = start(["--", "sh", "-c", "echo up; sleep 1000"]);
    await once(stdout, "data");
    child.kill("SIGINT");
    expect(await closed).toBe(130);
    expect(await qemus()).toEqual([]);
    expect(await readdir(temporary)).toEqual([]);
  });

  test("the guest does not outlive a rig that was killed", async () => {
    const { child, stdout, closed } = start(["--", "sh", "-c", "echo up; sleep 1000"]);
    await once(stdout, "data");
    expect(await qemus()).toHaveLength(1);
    child.kill("SIGKILL");
    await closed;
    await expect.poll(qemus).toEqual([]);
  });

  test("a device that QEMU does not know is an error in QEMU's words", async () => {
    const { code, err } = await run(["--device", "no-such-device", "--", "true"]);
    expect(err).toContain("'no-such-device' is not a valid device model name");
    expect(err).not.toContain("hub");
    expect(code).toBe(125);
  });
});
