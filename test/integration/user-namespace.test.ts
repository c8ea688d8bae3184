/** Capabilities in a user namespace are none over the host: the kernel of this machine is asked whether the limit binds. */
import { execFileSync, spawnSync } from "node:child_process";
import { fileURLToPath } from "node:url";
import { expect, test } from "vitest";

const program = fileURLToPath(new URL("user-namespace.mjs", import.meta.url));
const LIMIT = 64 << 10;

const here = spawnSync("unshare", ["--user", "--map-root-user", "true"]).status === 0;

test.skipIf(!here)("root of a user namespace is bound by the locked-memory limit", () => {
  const output = execFileSync(
    "prlimit",
    [`--memlock=${LIMIT}`, "unshare", "--user", "--map-root-user", process.execPath, program],
    { encoding: "utf8" },
  );
  expect(JSON.parse(output)).toMatchObject({
    limit: LIMIT,
    binding: true,
    // The kernel's own answer.
    locking: { code: "ENOMEM", fix: expect.stringContaining("host's CAP_IPC_LOCK") },
    memlock: { state: "warning", found: expect.stringMatching(/^limit 64 KiB/) },
    advice: expect.stringContaining("the host's root"),
  });
});

test.runIf(process.getuid?.() === 0)("root of the host is not", () => {
  const output = execFileSync("prlimit", [`--memlock=${LIMIT}`, process.execPath, program], { encoding: "utf8" });
  expect(JSON.parse(output)).toMatchObject({
    limit: LIMIT,
    binding: false,
    memlock: { state: "ok", found: expect.stringContaining("no limit") },
    advice: "run it as root (sudo)",
  });
  expect(JSON.parse(output)).not.toHaveProperty("locking");
});
