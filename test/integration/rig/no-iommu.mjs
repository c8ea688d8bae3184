// In a guest without an IOMMU: what the package answers before and after VFIO's no-IOMMU mode is allowed, as one line of JSON.
// no-iommu.test.ts starts it and reads what it prints.
import { execFileSync } from "node:child_process";
import { writeFileSync } from "node:fs";
import { containerModes, diagnose, openContainer, tryModes } from "../../../dist/index.js";
import { bindDriver, readPciDevice } from "../../../dist/pci/index.js";
import { resources } from "../../rig/resources.mjs";

const edu = "0000:00:02.0";
const igb = "0000:01:00.0";

/**
 * What an error says.
 *
 * @param {() => unknown} act
 */
function refusal(act) {
  try {
    act();
    return undefined;
  } catch (error) {
    return { code: error.code, why: error.why, fix: error.fix, message: error.message };
  }
}

/** @param {"Y" | "N"} value */
function allow(value) {
  writeFileSync("/sys/module/vfio/parameters/enable_unsafe_noiommu_mode", value);
}

/** @param {import("../../../lib/container/container.js").ContainerMode} [mode] */
function attach(mode) {
  const container = openContainer(mode === undefined ? {} : { mode });
  try {
    container.attach(edu);
  } finally {
    container.close();
  }
}

const driverOf = (/** @type {string} */ address) => readPciDevice(address).driver ?? "none";
const bind = () =>
  [edu, igb].map((address) => ({ refusal: refusal(() => bindDriver(address)), driver: driverOf(address) }));
/** What the kernel notes when it takes a device without an IOMMU, and when somebody opens one. */
const noted = () =>
  execFileSync("dmesg", { encoding: "utf8" })
    .split("\n")
    .filter((line) => line.includes("vfio-noiommu"));

const forbidden = bind();
allow("Y");
const allowed = bind();
const untouched = noted();
const unbound = diagnose(edu);

// As an administrator, or another program, does it.
writeFileSync(`/sys/bus/pci/devices/${edu}/driver_override`, "vfio-pci");
writeFileSync("/sys/bus/pci/drivers/vfio-pci/bind", edu);
const { vfio, iommuGroup } = readPciDevice(edu);
const before = JSON.stringify(resources());
const attached = [undefined, ...containerModes].map((mode) => refusal(() => attach(mode)));
const tried = tryModes(edu).map(({ error }) => error?.code);
const leaked = JSON.stringify(resources()) !== before;
const again = refusal(() => bindDriver(edu));
const bound = diagnose(edu);
// The kernel asks the parameter when a driver is bound, and not later: the device stays what it is.
allow("N");
const later = refusal(() => attach());
const opened = noted();
bindDriver(edu, { driver: null });

console.log(
  JSON.stringify({
    ...{ forbidden, allowed, untouched, unbound },
    ...{ vfio, iommuGroup, attached, tried, leaked, again, bound, later, opened, freed: driverOf(edu) },
  }),
);
