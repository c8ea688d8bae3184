/**
 * `npm run test:host -- <address>...`: the privileged tests on this host, with real devices that the user names.
 *
 * The devices are bound to vfio-pci for the time of the tests and given back afterwards, however the tests end. It all is
 * said before it is done, and no other device is touched.
 *
 * @module
 */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync } from "node:fs";
import { constants } from "node:os";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { VfioError } from "../dist/base/errors.js";
import {
  bindDriver,
  findDeviceUses,
  groupViability,
  pciAddress,
  planBinding,
  readPciDevice,
} from "../dist/pci/index.js";

const root = fileURLToPath(new URL("..", import.meta.url));

const usage = `usage: npm run test:host -- [options] <address>...

Runs the privileged tests on this host, with the PCI devices at the addresses, which are bound to vfio-pci for the time
and given back to their drivers afterwards. No other device is touched. Tests that fit neither the devices nor the host
are left out, and listed at the end. As root.

options:
  --destructive  run the tests that overwrite disks, too: everything on the named ones is lost
  --force        take the devices even from those who use them (mounted file systems, interfaces that are up, programs)
  --help         print this

example: npm run test:host -- 0000:01:00.0 0000:02:00.0
         (lspci -D lists the addresses)`;

/** Something that the user has to change first. */
class Refusal extends Error {
  /**
   * @param {string} message
   * @param {string} [fix]
   */
  constructor(message, fix) {
    super(fix === undefined ? message : `${message}\n  fix: ${fix}`);
  }
}

/** Arguments that are none. */
class UsageError extends Error {}

/** @param {string} line */
const say = (line) => process.stderr.write(`${line}\n`);

function readArguments() {
  const options = /** @type {const} */ ({
    destructive: { type: "boolean", default: false },
    force: { type: "boolean", default: false },
    help: { type: "boolean", default: false },
  });
  try {
    const { values, positionals } = parseArgs({ options, allowPositionals: true });
    if (values.help) return { ...values, addresses: [] };
    if (positionals.length === 0) throw new UsageError("no device is named");
    return { ...values, addresses: [...new Set(positionals.map((text) => pciAddress(text)))] };
  } catch (error) {
    if (error instanceof RangeError || (error instanceof TypeError && "code" in error)) {
      throw new UsageError(error.message);
    }
    throw error;
  }
}

/** @typedef {import("../lib/pci/index.js").PciAddress} PciAddress */
/** @typedef {import("../lib/pci/index.js").PciDevice} PciDevice */

const NVME = 0x010802;
const BRIDGE = 0x06;

/**
 * Refuses what cannot work, or must not be done, before anything is done.
 *
 * @param {readonly PciAddress[]} addresses
 * @param {boolean} force
 * @returns {PciDevice[]}
 */
function requireDevices(addresses, force) {
  const devices = addresses.map((address) => readPciDevice(address));
  for (const { address, classCode } of devices) {
    if (classCode >> 16 === BRIDGE) {
      throw new Refusal(`${address} is a bridge, and VFIO takes only endpoints`, "name the devices behind it");
    }
  }
  if (process.geteuid?.() !== 0) {
    throw new Refusal("binding drivers takes root", `sudo ${process.execPath} ${join(root, "test/host.mjs")} ...`);
  }
  // Without vfio-pci, or without an IOMMU, this fails with what to do.
  for (const address of addresses) planBinding(address);
  if (!existsSync("/dev/vfio/vfio") && !existsSync("/dev/iommu")) {
    throw new Refusal(
      "there is neither /dev/vfio/vfio nor /dev/iommu",
      "modprobe vfio-pci; in a container, pass the host's /dev/vfio and /dev/iommu on",
    );
  }
  for (const device of devices) {
    requireUnused(device, force);
    const viability = groupViability(device.address);
    if (viability.viable) continue;
    // Those that are named are bound to vfio-pci, too. The others are not ours to unbind, even by force.
    const blocker = viability.blockers.find(({ name }) => !addresses.some((address) => address === name));
    if (blocker !== undefined) throw new Refusal(blocker.why, `name ${blocker.name} too; or ${blocker.fix}`);
  }
  return devices;
}

/**
 * @param {PciDevice} device
 * @param {boolean} force
 */
function requireUnused({ address, vfio }, force) {
  const uses = findDeviceUses(address);
  // Virtual functions would go with their physical one, and nobody has named them. A program that drives the device
  // through VFIO keeps its group to itself.
  const unforceable = uses.filter(({ kind }) => kind === "vfs" || (kind === "process" && vfio !== undefined));
  const [blocking, more] = unforceable.length > 0 || force ? [unforceable, ""] : [uses, "; or take it with --force"];
  if (blocking.length === 0) return;
  throw new Refusal(
    `${address} is in use: ${blocking.map(({ why }) => why).join("; ")}`,
    `${[...new Set(blocking.map(({ fix }) => fix))].join("; ")}${more}`,
  );
}

/** @param {number} id */
const hex4 = (id) => id.toString(16).padStart(4, "0");

/**
 * @param {readonly PciDevice[]} devices
 * @param {boolean} destructive
 */
function announce(devices, destructive) {
  say("These devices are tested, and no others are touched:");
  for (const { address, vendorId, deviceId, classCode, driver } of devices) {
    const ids = `${address} (${hex4(vendorId)}:${hex4(deviceId)})`;
    const change =
      driver === "vfio-pci"
        ? "is bound to vfio-pci, and stays so"
        : driver === undefined
          ? "has no driver: it is bound to vfio-pci, and unbound at the end"
          : `is unbound from ${driver} and bound to vfio-pci; ${driver} gets it back at the end`;
    say(`  ${ids} ${change}`);
    if (classCode === NVME) {
      say(
        `    ${destructive ? "WHAT IS ON IT IS OVERWRITTEN (--destructive)" : "its blocks are read, and not written"}`,
      );
    }
  }
}

/**
 * The tests, in a process group of their own: Ctrl-C ends them and not this process, which has devices to give back.
 *
 * @param {readonly PciAddress[]} addresses
 * @param {boolean} destructive
 * @param {AbortSignal} signal
 * @returns {Promise<number>} the exit code
 */
async function runTests(addresses, destructive, signal) {
  if (signal.aborted) return 1;
  const child = spawn(process.execPath, [join(root, "node_modules/vitest/vitest.mjs"), "run", "--project", "rig"], {
    cwd: root,
    detached: true,
    stdio: ["ignore", "inherit", "inherit"],
    env: { ...process.env, VFIO_TEST_HOST: addresses.join(" "), VFIO_TEST_DESTRUCTIVE: destructive ? "1" : "" },
  });
  /** @param {NodeJS.Signals} name */
  const kill = (name) => {
    try {
      if (child.pid !== undefined) process.kill(-child.pid, name);
    } catch {
      // Nobody is left.
    }
  };
  const stop = () => {
    kill("SIGTERM");
    // A process that does not heed it within this time is not going to.
    setTimeout(() => kill("SIGKILL"), 5000).unref();
  };
  signal.addEventListener("abort", stop);
  try {
    const [code] = await once(child, "exit");
    return typeof code === "number" ? code : 1;
  } finally {
    signal.removeEventListener("abort", stop);
    // What the tests have started and not ended holds devices, too.
    kill("SIGKILL");
  }
}

/**
 * @param {import("../lib/pci/index.js").Binding} binding
 */
async function giveBack(binding) {
  const { address, from } = binding.plan;
  for (let attempt = 0; binding.active; attempt++) {
    try {
      binding.restore();
    } catch (error) {
      // A process that was killed has its device open until the kernel has cleared it away.
      if (!(error instanceof VfioError) || error.code !== "EBUSY" || attempt === 100) throw error;
      await delay(100);
    }
  }
  const { driver } = readPciDevice(address);
  if (driver !== from) throw new Error(`${address} is with ${driver ?? "no driver"}`);
  say(`${address} is with ${driver ?? "no driver"} again`);
}

/**
 * @param {readonly PciDevice[]} devices
 * @param {{ force: boolean, destructive: boolean }} options
 */
async function test(devices, { force, destructive }) {
  const interrupted = new AbortController();
  let code = 0;
  for (const name of /** @type {const} */ (["SIGINT", "SIGTERM", "SIGHUP"])) {
    process.on(name, () => {
      code = 128 + constants.signals[name];
      interrupted.abort();
    });
  }
  // A terminal that is gone must not keep the devices from being given back.
  for (const stream of [process.stdout, process.stderr]) stream.on("error", () => {});

  const bindings = [];
  try {
    for (const { address } of devices) bindings.push(bindDriver(address, { force }));
    const result = await runTests(
      devices.map(({ address }) => address),
      destructive,
      interrupted.signal,
    );
    if (code === 0) code = result;
  } finally {
    for (const binding of bindings.reverse()) {
      try {
        await giveBack(binding);
      } catch (error) {
        if (code === 0) code = 1;
        const undo = binding.plan.steps.map((step) => step.undo).reverse();
        say(`${binding.address} could not be given back: ${error instanceof Error ? error.message : error}`);
        for (const { path, value } of undo) say(`  echo '${value}' > ${path}`);
      }
    }
  }
  return code;
}

try {
  const { addresses, help, ...options } = readArguments();
  if (help) {
    process.stdout.write(`${usage}\n`);
  } else {
    const devices = requireDevices(addresses, options.force);
    // The addon, or how to build it: before a device is touched.
    await import("../dist/kernel/native.js");
    announce(devices, options.destructive);
    process.exitCode = await test(devices, options);
  }
} catch (error) {
  if (error instanceof UsageError) {
    say(`test:host: ${error.message}\n\n${usage}`);
    process.exitCode = 2;
  } else if (error instanceof Error) {
    say(`test:host: ${error.message}`);
    process.exitCode = 1;
  } else {
    throw error;
  }
}
