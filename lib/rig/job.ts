/**
 * The job that the guest runs, as a small shell script: where, in which environment, and what.
 *
 * @module
 */

import { fileURLToPath } from "node:url";
import { checkObject } from "../base/arguments.js";
import { packageRoot } from "../base/package-root.js";

/** The directory with `vfio`, which is in no PATH in a checkout. */
const commandDirectory = fileURLToPath(new URL("lib/rig/bin", packageRoot));

/** Quote a word for a POSIX shell. */
export function quote(word: string): string {
  return `'${word.replaceAll("'", "'\\''")}'`;
}

const passedNames = new Set(
  [
    ["PATH", "HOME", "USER", "LOGNAME", "LANG", "LANGUAGE", "TZ", "TERM", "COLORTERM"],
    ["CI", "NO_COLOR", "FORCE_COLOR", "DEBUG"],
  ].flat(),
);
const passedPrefixes = ["LC_", "NODE_", "VFIO_", "VITEST_"];

/**
 * The part of an environment that means something in the guest: the user's paths and habits, Node's and this package's
 * settings. The rest (sockets of agents, session buses, ...) belongs to the host. `vfio` is in the guest's PATH.
 *
 * @param env the host's environment
 */
export function guestEnvironment(env: Readonly<Record<string, string | undefined>>): Record<string, string> {
  checkObject("env", env);
  const result: Record<string, string> = {};
  for (const [name, value] of Object.entries(env)) {
    if (value === undefined) continue;
    if (passedNames.has(name) || passedPrefixes.some((prefix) => name.startsWith(prefix))) result[name] = value;
  }
  // The guest's user is root, whose tools an ordinary user's PATH leaves out.
  const path = result["PATH"] ?? "/usr/local/bin:/usr/bin:/bin";
  // The command comes last: a project's own goes before this package's.
  const more = ["/usr/local/sbin", "/usr/sbin", "/sbin", commandDirectory];
  result["PATH"] = [path, ...more.filter((entry) => !path.split(":").includes(entry))].join(":");
  // How a program knows where it is.
  result["VFIO_RIG"] = "1";
  return result;
}

/** What the guest runs. */
export interface Job {
  /** Program and arguments; empty for a shell. */
  readonly command: readonly string[];
  /** Working directory, absolute. */
  readonly cwd: string;
  /** The whole environment. */
  readonly env: Readonly<Record<string, string>>;
  /** `after`: a shell follows the command on the same terminal. `only`: nothing but a shell. */
  readonly shell?: "only" | "after" | undefined;
}

/** The script `job.sh` that `init.sh` sources. */
export function jobScript(job: Job): string {
  const variables = Object.entries(job.env)
    .filter(([name]) => /^[A-Za-z_][A-Za-z0-9_]*$/.test(name))
    .map(([name, value]) => `export ${name}=${quote(value)}`);
  const command = job.command.map(quote).join(" ");
  const shell = `if [ -x /bin/bash ]; then PS1='rig:\\w\\$ ' bash --norc -i; else PS1='rig# ' sh -i; fi`;
  return `${[
    "rig_environment() {",
    `cd ${quote(job.cwd)} || exit 126`,
    ...variables,
    "}",
    ...(job.shell === undefined
      ? ["RIG_INTERACTIVE=", `rig_job() { rig_environment; exec ${command}; }`]
      : [
          "RIG_INTERACTIVE=1",
          "rig_interactive() {",
          "rig_environment",
          ...(job.shell === "after" ? [`(exec ${command}); code=$?`, `echo "[exit code $code]"`] : []),
          shell,
          ...(job.shell === "after" ? ["exit $code"] : []),
          "}",
        ]),
  ].join("\n")}\n`;
}

/** The guest's file systems, for one `mount -a`. */
export const fstab = `devtmpfs /dev devtmpfs mode=0755 0 0
sysfs /sys sysfs nosuid,nodev,noexec 0 0
debugfs /sys/kernel/debug debugfs mode=0700 0 0
devpts /dev/pts devpts mode=0620,ptmxmode=0666 0 0
tmpfs /dev/shm tmpfs mode=1777 0 0
hugetlbfs /dev/hugepages hugetlbfs mode=1777 0 0
tmpfs /run tmpfs mode=0755 0 0
`;
