/**
 * Runs a command of a build as the owner of this checkout: `node .ci/as-owner.mjs <program> [argument...]`.
 *
 * `sudo npm start` in somebody's checkout would otherwise leave files of root in `build/` and `dist/`, which the owner's next build cannot
 * replace. A process that is not root, and root in a checkout of its own, runs the command as it is.
 */
import { spawnSync } from "node:child_process";
import { readFileSync, statSync } from "node:fs";
import { fileURLToPath } from "node:url";

const root = fileURLToPath(new URL("..", import.meta.url));
const { uid, gid } = statSync(root);
const [program, ...args] = process.argv.slice(2);

/** Compilers keep caches below it: the owner's home directory, or the checkout where the user database has none. */
function homeOf(owner) {
  const users = readFileSync("/etc/passwd", "utf8").split("\n");
  return users.map((line) => line.split(":")).find((fields) => Number(fields[2]) === owner)?.[5] ?? root;
}

const change = process.geteuid() === 0 && uid !== 0 ? { uid, gid, env: { ...process.env, HOME: homeOf(uid) } } : {};
const { status, error } = spawnSync(program, args, { stdio: "inherit", ...change });
if (error !== undefined) console.error(`${program} cannot be run: ${error.message}`);
process.exitCode = status ?? 1;
