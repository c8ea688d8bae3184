/**
 * `vfio list`: the PCI devices, and what matters of each to who wants to drive it.
 *
 * @module
 */
import { type Command, InvalidArgumentError, Option } from "commander";
import { messageOf } from "../base/errors.js";
import { listIommuGroups, listPciDevices, type PciDevice, PciNames } from "../pci/index.js";
import {
  act,
  examples,
  type HostOptions,
  hostOption,
  hostPaths,
  parseNumber,
  type Session,
  subcommand,
} from "./command.js";
import { CommandError } from "./failure.js";
import { type Column, drawTable } from "./table.js";
import type { Output } from "./terminal.js";

interface Options extends HostOptions {
  readonly all?: true;
  readonly vfio?: true;
  readonly driver?: string;
  readonly id?: { readonly vendor: number; readonly device: number | undefined };
  readonly class?: string;
  readonly group?: number;
  readonly numa?: number;
  readonly pciIds?: string;
}

function parseIds(text: string): { vendor: number; device: number | undefined } {
  const [, vendor, device] = /^([0-9a-f]{1,4}):([0-9a-f]{1,4})?$/i.exec(text) ?? [];
  if (vendor === undefined) throw new InvalidArgumentError("It must be like 8086:10c9, or 8086: for all of a vendor.");
  return {
    vendor: Number.parseInt(vendor, 16),
    device: device === undefined ? undefined : Number.parseInt(device, 16),
  };
}

export const pciIdsOption = () => new Option("--pci-ids <file>", "names from this list, instead of the system's");

/** The subcommand. */
export function listCommand(session: Session): Command {
  const command = subcommand(session, "list", "List the PCI devices, with their drivers, IOMMU groups and VFIO nodes.")
    .option("-a, --all", "bridges too")
    .option("--vfio", "only those that a VFIO driver has")
    .option("--driver <name>", "only those with this driver; none for those without")
    .addOption(new Option("--id <vendor:[device]>", "only those with these IDs, in hexadecimal").argParser(parseIds))
    .option(
      "--class <class>",
      "only those of a class: a part of its name (network, storage, display), disk, nic, gpu, or its code (0108)",
    )
    .addOption(new Option("--group <number>", "only those in this IOMMU group").argParser(parseNumber(0, 1e9)))
    .addOption(new Option("--numa <node>", "only those of this NUMA node").argParser(parseNumber(0, 1e9)))
    .addOption(pciIdsOption())
    .addOption(hostOption());
  examples(command, [
    ["vfio list", "what is there"],
    ["vfio list --class network", "network cards of all kinds"],
    ["vfio list --class 0108", "NVMe controllers"],
    ["vfio list --vfio --json", "what is given to user space, for a program"],
  ]);
  return command.action(act(session, list));
}

const hex = (value: number, digits: number) => value.toString(16).padStart(digits, "0");

const isBridge = ({ classCode }: PciDevice) => classCode >> 16 === 0x06;

function matches(device: PciDevice, names: PciNames, options: Options): boolean {
  const { driver, id, class: kind, group, numa } = options;
  if (options.vfio === true && device.vfio === undefined) return false;
  if (driver !== undefined && driver !== (device.driver ?? "none")) return false;
  if (id !== undefined && (id.vendor !== device.vendorId || (id.device ?? device.deviceId) !== device.deviceId))
    return false;
  if (group !== undefined && group !== device.iommuGroup) return false;
  if (numa !== undefined && numa !== device.numaNode) return false;
  return kind === undefined || isOfClass(device, names, kind.toLowerCase());
}

/** Everyday names that are no part of a class's name, and what its code begins with. */
const everydayClasses: ReadonlyMap<string, string> = new Map([
  ["disk", "01"],
  ["ssd", "0108"],
  ["nvme", "0108"],
  ["nic", "02"],
  ["gpu", "03"],
  ["graphics", "03"],
  ["sound", "04"],
  ["crypto", "10"],
]);

function isOfClass({ classCode }: PciDevice, names: PciNames, kind: string): boolean {
  const code = everydayClasses.get(kind) ?? (/^[0-9a-f]{2,6}$/.test(kind) ? kind : undefined);
  if (code !== undefined && hex(classCode, 6).startsWith(code)) return true;
  return [names.class(classCode), names.baseClass(classCode)].some((name) => name.toLowerCase().includes(kind));
}

/** A device as `--json` shows it, in `list` and in `info`. */
export function deviceJson(device: PciDevice, names: PciNames, siblings: readonly string[]): Record<string, unknown> {
  const { sriov, vfio } = device;
  return {
    address: device.address,
    vendorId: hex(device.vendorId, 4),
    deviceId: hex(device.deviceId, 4),
    subsystemVendorId: hex(device.subsystemVendorId, 4),
    subsystemDeviceId: hex(device.subsystemDeviceId, 4),
    revision: device.revision,
    classCode: hex(device.classCode, 6),
    className: names.class(device.classCode),
    vendorName: names.vendor(device.vendorId) ?? null,
    deviceName: names.device(device.vendorId, device.deviceId) ?? null,
    driver: device.driver ?? null,
    driverOverride: device.driverOverride ?? null,
    iommuGroup: device.iommuGroup ?? null,
    groupSiblings: siblings,
    numaNode: device.numaNode ?? null,
    powerState: device.powerState ?? null,
    physicalFunction: device.physfn ?? null,
    sriov: sriov === undefined ? null : { totalVfs: sriov.totalVfs, numVfs: sriov.numVfs, vfs: sriov.vfs },
    vfio: vfio === undefined ? null : { name: vfio.name, device: vfio.cdevPath ?? null, group: vfio.groupPath ?? null },
  };
}

/** The name of a device, as far as one is known. */
export function nameOfDevice({ vendorId, deviceId }: PciDevice, names: PciNames): string {
  return [names.vendor(vendorId), names.device(vendorId, deviceId)].filter((name) => name !== undefined).join(" ");
}

// The first domain goes without saying, as in lspci.
const short = (address: string) => address.replace(/^0000:/, "");

function sriovOf({ sriov, physfn }: PciDevice): string {
  if (physfn !== undefined) return `VF of ${short(physfn)}`;
  return sriov === undefined ? "" : `${sriov.numVfs}/${sriov.totalVfs} VFs`;
}

const columns: readonly Column[] = [
  { title: "ADDRESS" },
  { title: "ID" },
  { title: "CLASS", least: 8, good: 22 },
  { title: "DRIVER", least: 6, good: 10 },
  { title: "GROUP", align: "right" },
  { title: "WITH", least: 10, drop: 2 },
  { title: "VFIO", drop: 1 },
  { title: "SR-IOV", drop: 4 },
  { title: "NUMA", align: "right", drop: 5 },
  { title: "NAME", least: 12, drop: 3 },
];

/** Reads the list of names that the options say. */
export function readNames(path: string | undefined): PciNames {
  try {
    return PciNames.read(path);
  } catch (error) {
    const reason = messageOf(error);
    throw new CommandError(`the list of names cannot be read: ${reason}`, "name a pci.ids, or leave --pci-ids out");
  }
}

function list(output: Output, options: Options): number | undefined {
  const paths = hostPaths(options);
  const names = readNames(options.pciIds);
  const all = listPciDevices(paths);
  const groups = new Map(listIommuGroups(paths).map((group) => [group.id, group.devices.map(({ name }) => name)]));
  const siblings = ({ address, iommuGroup }: PciDevice) =>
    (iommuGroup === undefined ? [] : (groups.get(iommuGroup) ?? [])).filter((name) => name !== address);
  const matching = all.filter((device) => matches(device, names, options));
  const bridgesToo = options.all === true || options.class !== undefined || options.group !== undefined || output.json;
  const devices = matching.filter((device) => bridgesToo || !isBridge(device));
  output.printJson({ devices: devices.map((device) => deviceJson(device, names, siblings(device))) });
  if (output.json) return undefined;

  const { colors } = output;
  const rows = devices.map((device) => [
    device.address,
    `${hex(device.vendorId, 4)}:${hex(device.deviceId, 4)}`,
    names.class(device.classCode),
    device.vfio !== undefined ? colors.green(device.driver ?? "") : (device.driver ?? colors.dim("none")),
    device.iommuGroup === undefined ? colors.dim("none") : String(device.iommuGroup),
    siblings(device).map(short).join(" "),
    device.vfio?.name ?? "",
    sriovOf(device),
    device.numaNode === undefined ? "" : String(device.numaNode),
    // A vendor with its full name leaves no room for the device.
    names.device(device.vendorId, device.deviceId) ?? names.vendor(device.vendorId) ?? "",
  ]);
  // What nobody has needs no column.
  const used = columns.map((_, index) => index <= 4 || rows.some((row) => row[index] !== ""));
  const filled = <T>(cells: readonly T[]) => cells.filter((_, index) => used[index]);
  if (rows.length > 0) {
    const options = { width: output.width, head: (text: string) => colors.dim(text) };
    output.print(drawTable(filled(columns), rows.map(filled), options));
  } else {
    output.print(
      all.length === 0 ? "There is no PCI device here." : "No device is like that; vfio list --all shows them all.",
    );
  }
  const hidden = matching.length - devices.length;
  if (hidden > 0 && output.terminal.stdout.isTTY === true) {
    output.print(colors.dim(`${hidden} bridge${hidden === 1 ? "" : "s"} not shown (--all)`));
  }
  return undefined;
}
