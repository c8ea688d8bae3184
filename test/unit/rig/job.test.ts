import { spawnSync } from "node:child_process";
import { describe, expect, test } from "vitest";
import { guestEnvironment, jobScript, quote } from "../../../lib/rig/job.js";

/** Run a job's script as the guest's first process does. */
function run(job: Parameters<typeof jobScript>[0]) {
  const script = `${jobScript(job)}\n(rig_job)\n`;
  return spawnSync("sh", ["-c", script], { env: { PATH: process.env["PATH"] ?? "" }, encoding: "utf8" });
}

test.each([
  "plain",
  "two words",
  "it's",
  "$HOME `id` $(id)",
  'back\\slash "quoted"',
  "new\nline",
  "",
  "*",
  "-n",
])("a shell reads %j as it is", (word) => {
  expect(spawnSync("sh", ["-c", `printf %s ${quote(word)}`], { encoding: "utf8" }).stdout).toBe(word);
});

describe("the guest's environment", () => {
  test("has what means something there, and nothing of the host's sessions", () => {
    const env = guestEnvironment({
      PATH: "/home/me/bin:/usr/bin",
      HOME: "/home/me",
      CI: "true",
      NODE_OPTIONS: "--max-old-space-size=512",
      VFIO_X: "1",
      LC_ALL: "C.UTF-8",
      SSH_AUTH_SOCK: "/run/agent",
      DBUS_SESSION_BUS_ADDRESS: "unix:path=/run/bus",
      npm_config_cache: "/home/me/.npm",
      UNSET: undefined,
    });
    expect(Object.keys(env).sort()).toEqual(["CI", "HOME", "LC_ALL", "NODE_OPTIONS", "PATH", "VFIO_RIG", "VFIO_X"]);
  });

  test("finds the system's tools, each directory once", () => {
    expect(guestEnvironment({ PATH: "/a:/usr/sbin" })["PATH"]).toMatch(
      /^\/a:\/usr\/sbin:\/usr\/local\/sbin:\/sbin:[^:]+\/lib\/rig\/bin$/,
    );
    expect(guestEnvironment({})["PATH"]).toContain("/usr/bin");
  });
});

describe("a job's script", () => {
  test("runs the command where it should, with its arguments and variables untouched", () => {
    const words = ["it's", "$HOME", "a  b", ""];
    const job = {
      command: ["sh", "-c", 'pwd; echo "$GREETING"; printf "<%s>" "$@"', "sh", ...words],
      cwd: "/usr",
      env: { GREETING: "don't `stop`\n$now" },
    };
    expect(run(job).stdout).toBe(`/usr\ndon't \`stop\`\n$now\n${words.map((word) => `<${word}>`).join("")}`);
  });

  test("ends with the command's exit code, and with the shell's for what cannot run", () => {
    expect(run({ command: ["sh", "-c", "exit 42"], cwd: "/", env: {} }).status).toBe(42);
    expect(run({ command: ["no-such-program-at-all"], cwd: "/", env: {} }).status).toBe(127);
    expect(run({ command: ["/etc/passwd"], cwd: "/", env: {} }).status).toBe(126);
    expect(run({ command: ["true"], cwd: "/no/such/directory", env: {} }).status).toBe(126);
  });

  test("leaves out variables that a shell cannot have", () => {
    expect(run({ command: ["env"], cwd: "/", env: { "npm_config_@scope:x": "1", GOOD: "1" } }).stdout).toMatch(
      /^GOOD=1$/m,
    );
  });
});
