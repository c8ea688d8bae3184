/**
 * `npm test`: every test, one part after the other, and one sum at the end.
 *
 * The parts `unit` and `integration` need no privileges. `guest` tests the rig, `rig` tests the package in it, `qemu11`
 * and `qemu11-edu` test devices of ours in front of QEMU's vfio-user client: these need a kernel and QEMU, which are
 * provided if this machine allows it. With `CI=true` they are required.
 *
 * usage: node test/run.mjs [--parts=unit,integration,...] [what vitest takes: a file's name, -t <test's name>, ...]
 *
 * With VFIO_TEST_TOTALS, the two numbers of the sum are written to the file that it names.
 *
 * @module
 */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, readdir, readFile, rm, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import pc from "picocolors";
import { ensureAddon } from "../dist/cli/addon.js";
import { reportRigError } from "../dist/cli/rig.js";
import { ensureRig, ProgressPrinter, RigError } from "../dist/rig/index.js";

const root = fileURLToPath(new URL("..", import.meta.url));
const vitest = join(root, "node_modules/vitest/vitest.mjs");
/** The parts that take a guest. */
const inGuest = ["guest", "rig", "qemu11", "qemu11-edu"];
const wanted = process.argv.slice(2).find((each) => each.startsWith("--parts="));
const parts = wanted?.slice("--parts=".length).split(",") ?? ["unit", "integration", ...inGuest];
const forVitest = process.argv.slice(2).filter((each) => each !== wanted);
const required = process.env.CI === "true" || process.env.CI === "1";

/**
 * @typedef {object} Sum
 * @property {string} part
 * @property {number} passed
 * @property {number} failed
 * @property {number} skipped
 * @property {number} seconds
 * @property {string} [note]
 */

/**
 * @param {string} program
 * @param {readonly string[]} args
 * @returns {Promise<number>} its exit code
 */
async function run(program, args) {
  const child = spawn(program, args, { cwd: root, stdio: "inherit" });
  const [code] = await once(child, "close");
  return typeof code === "number" ? code : 1;
}

/**
 * Plain JavaScript has no `using` before Node 24.
 *
 * @param {string} prefix
 * @param {(listener: import("../lib/rig/progress.js").ProgressListener) => Promise<void>} work
 */
async function withProgress(prefix, work) {
  const progress = new ProgressPrinter(process.stderr, prefix);
  try {
    await work(progress.listener);
  } finally {
    progress[Symbol.dispose]();
  }
}

/** An addon that is older than its sources is built again; vitest would test yesterday's. */
async function buildAddon() {
  await withProgress("test", (listener) => ensureAddon({ install: true, onProgress: listener }));
  const built = (await stat(join(root, "build/Release/vfio.node"))).mtimeMs;
  for (const name of await readdir(join(root, "native"), { recursive: true })) {
    if ((await stat(join(root, "native", name))).mtimeMs <= built) continue;
    if ((await run("npm", ["run", "--silent", "build:native"])) !== 0) throw new Error("The addon could not be built");
    return;
  }
}

/**
 * Run one part and count what its JSON report says.
 *
 * @param {string} part
 * @param {string} directory for the report
 * @returns {Promise<Sum>}
 */
async function runPart(part, directory) {
  const report = join(directory, `${part}.json`);
  const start = performance.now();
  process.stdout.write(pc.bold(`\n${part}\n`));
  const code = await run(process.execPath, [
    ...[vitest, "run", "--project", part, "--passWithNoTests"],
    ...["--reporter=default", "--reporter=json", `--outputFile.json=${report}`, ...forVitest],
  ]);
  const seconds = (performance.now() - start) / 1000;
  /** @type {{ testResults: { status: string, assertionResults: { status: string }[] }[] }} */
  const { testResults } = JSON.parse(await readFile(report, "utf8").catch(() => '{"testResults":[]}'));
  const tests = testResults.flatMap(({ assertionResults }) => assertionResults.map(({ status }) => status));
  const passed = tests.filter((status) => status === "passed").length;
  const failedTests = tests.filter((status) => status === "failed").length;
  // A file that could not be loaded has no failed test and has failed all the same.
  const failedFiles = testResults.filter(
    ({ status, assertionResults }) =>
      status === "failed" && !assertionResults.some((assertion) => assertion.status === "failed"),
  ).length;
  // So has a run that ended badly for a reason that is no test's: an unhandled error, a guest that died.
  const failed = failedTests + failedFiles || (code === 0 ? 0 : 1);
  return { part, passed, failed, skipped: tests.length - passed - failedTests, seconds };
}

/**
 * Have the rig ready, or know why not.
 *
 * @returns {Promise<RigError | undefined>}
 */
async function prepareRig() {
  try {
    await withProgress("rig", async (onProgress) => {
      await ensureRig({ onProgress });
    });
    return undefined;
  } catch (error) {
    if (error instanceof RigError) return error;
    throw error;
  }
}

const directory = await mkdtemp(join(tmpdir(), "vfio-test-"));
/** @type {Sum[]} */
const sums = [];
try {
  await buildAddon();
  for (const part of parts.filter((each) => !inGuest.includes(each))) sums.push(await runPart(part, directory));
  const guestParts = parts.filter((each) => inGuest.includes(each));
  const missing = guestParts.length === 0 ? undefined : await prepareRig();
  for (const part of guestParts) {
    if (missing === undefined) sums.push(await runPart(part, directory));
    else sums.push({ part, passed: 0, failed: required ? 1 : 0, skipped: 0, seconds: 0, note: "not run: no rig" });
  }
  if (missing !== undefined) {
    process.stderr.write(`\n${required ? "With CI=true the rig is required.\n" : ""}`);
    reportRigError(missing);
  }
} finally {
  await rm(directory, { recursive: true, force: true });
}

const passed = sums.reduce((sum, part) => sum + part.passed, 0);
const failed = sums.reduce((sum, part) => sum + part.failed, 0);
process.stdout.write(`\n${pc.dim("part         passed  failed  skipped      time")}\n`);
for (const sum of sums) {
  const numbers = [String(sum.passed).padStart(8), String(sum.failed).padStart(8), String(sum.skipped).padStart(9)];
  const line = `${sum.part.padEnd(11)}${numbers.join("")}${`${sum.seconds.toFixed(1)} s`.padStart(10)}`;
  process.stdout.write(`${sum.failed > 0 ? pc.red(line) : line}${sum.note === undefined ? "" : `  ${sum.note}`}\n`);
}
process.stdout.write(`${passed} passed, ${failed} failed\n`);
if (process.env.VFIO_TEST_TOTALS !== undefined) await writeFile(process.env.VFIO_TEST_TOTALS, `${passed} ${failed}\n`);
process.exitCode = failed === 0 ? 0 : 1;
