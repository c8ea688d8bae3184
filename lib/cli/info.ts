/**
 * `vfio info`: everything about one device: from sysfs for every device, and from VFIO for one that it has.
 *
 * @module
 */
import type { Command } from "commander";
import { VfioError } from "../base/errors.js";
import { decodeCapability } from "../device/config-decode.js";
import { type ConfigReader, walkPciCapabilities, walkPciExtendedCapabilities } from "../device/pci-capabilities.js";
import {
  findDeviceUses,
  type HostPaths,
  type PciDevice,
  type PciNames,
  readIommuGroup,
  readPciConfig,
  readPciDevice,
} from "../pci/index.js";
import { withDevice } from "./attach.js";
import {
  act,
  addressArgument,
  examples,
  type HostOptions,
  hostOption,
  hostPaths,
  parseAddress,
  type Session,
  subcommand,
} from "./command.js";
import { failureOf } from "./failure.js";
import { deviceJson, nameOfDevice, pciIdsOption, readNames } from "./list.js";
import { type Column, drawTable } from "./table.js";
import type { Output } from "./terminal.js";

interface Options extends HostOptions {
  readonly hex?: true;
  readonly open: boolean;
  readonly pciIds?: string;
}

/** The subcommand. */
export function infoCommand(session: Session): Command {
  const command = subcommand(session, "info", "Show a device: regions, interrupts, capabilities, config space decoded.")
    .addArgument(addressArgument().argParser(parseAddress))
    .option("--hex", "config space in hexadecimal too")
    .option("--no-open", "do not open it; opening resets a device that VFIO has and nobody uses")
    .addOption(pciIdsOption())
    .addOption(hostOption());
  examples(command, [
    ["vfio info 01:00.0", "as much as this user may see"],
    ["sudo vfio info 01:00.0 --hex", "with all of config space"],
  ]);
  return command.action(act(session, info));
}

/** Bytes of config space that were read before. */
class ConfigBytes implements ConfigReader {
  readonly label: string;
  readonly bytes: Uint8Array;
  readonly #view: DataView;

  constructor(label: string, bytes: Uint8Array) {
    this.label = label;
    this.bytes = bytes;
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  }

  get size(): number {
    return this.bytes.length;
  }

  read8(offset: number): number {
    return this.#view.getUint8(offset);
  }

  read16(offset: number): number {
    return this.#view.getUint16(offset, true);
  }

  read32(offset: number): number {
    return this.#view.getUint32(offset, true);
  }
}

interface RegionLine {
  readonly name: string;
  readonly size: bigint;
  readonly kind: string;
  readonly access: string;
  readonly mappable: string;
  readonly address: bigint | undefined;
}

interface IrqLine {
  readonly name: string;
  readonly count: number;
  readonly abilities: readonly string[];
}

/** What VFIO says of a device. */
interface Opened {
  readonly mode: string;
  readonly canReset: boolean;
  readonly regions: readonly RegionLine[];
  readonly irqs: readonly IrqLine[];
  readonly config: ConfigBytes | undefined;
}

const hex = (value: number | bigint, digits = 1) => `0x${value.toString(16).padStart(digits, "0")}`;

/** Sizes are powers of two. */
function sizeText(size: bigint): string {
  const units = ["", " KiB", " MiB", " GiB", " TiB"];
  let [value, unit] = [size, 0];
  while (value >= 1024n && value % 1024n === 0n && unit < units.length - 1) {
    value /= 1024n;
    unit++;
  }
  return `${value}${units[unit] === "" ? " bytes" : units[unit]}`;
}

function resourcesOf(device: PciDevice): RegionLine[] {
  return device.resources
    .filter(({ kind }) => kind === "bar" || kind === "rom")
    .map(({ kind, index, size, start, space, prefetchable, wide }) => ({
      name: kind === "bar" ? `bar${index}` : "rom",
      size,
      kind: [space === "io" ? "I/O ports" : "memory", wide ? "64-bit" : "", prefetchable ? "prefetchable" : ""]
        .filter((word) => word !== "")
        .join(" "),
      access: "",
      mappable: "",
      address: start,
    }));
}

async function open(device: PciDevice): Promise<Opened> {
  const resources = new Map(resourcesOf(device).map((line) => [line.name, line]));
  return await withDevice(device.address, {}, (opened, container) => ({
    mode: container.mode,
    canReset: opened.info.canReset,
    regions: opened.regions.map((region) => ({
      name: region.name,
      size: BigInt(region.size),
      kind: resources.get(region.name)?.kind ?? (region.name === "config" ? "config space" : ""),
      access: `${region.readable ? "r" : "-"}${region.writable ? "w" : "-"}`,
      mappable: region.mappable
        ? "whole"
        : region.mappableAreas.map((area) => `${hex(area.offset)}+${hex(area.length)}`).join(" ") || "no",
      address: resources.get(region.name)?.address,
    })),
    irqs: opened.irqs.map(({ name, count, info }) => ({
      name,
      count,
      abilities: [
        info.maskable ? "maskable" : "",
        info.automasked ? "masked by the kernel at each" : "",
        info.noresize ? "no more once on" : "",
      ].filter((word) => word !== ""),
    })),
    config:
      opened.findRegion("config") === undefined ? undefined : new ConfigBytes(device.address, opened.config.read()),
  }));
}

// linux/pci_regs.h: PCI_COMMAND_*, PCI_STATUS_*
const commandBits = [
  "io",
  "memory",
  "bus-master",
  "special",
  "invalidate",
  "snoop",
  "parity",
  "",
  "serr",
  "fast",
  "intx-off",
];
const statusBits = [
  "",
  "",
  "",
  "interrupt",
  "capabilities",
  "66mhz",
  "",
  "fast",
  "parity",
  "",
  "",
  "sent-abort",
  "got-abort",
  "no-answer",
  "serr",
  "parity-error",
];

function bitsOf(value: number, names: readonly string[]): string[] {
  return names.filter((name, bit) => name !== "" && ((value >>> bit) & 1) !== 0);
}

function capabilitiesOf(config: ConfigReader) {
  const walk = [...walkPciCapabilities(config), ...walkPciExtendedCapabilities(config)];
  return walk.map((capability) => ({ ...capability, fields: decodeCapability(config, capability) }));
}

async function info(output: Output, address: string, options: Options): Promise<number | undefined> {
  const paths = hostPaths(options);
  const device = readPciDevice(address, paths);
  const names = readNames(options.pciIds);
  const uses = findDeviceUses(address, paths);
  const why = whyNotOpen(device, uses.length > 0, options);
  let opened: Opened | undefined;
  let hindrance = why;
  if (why === undefined) {
    try {
      opened = await open(device);
    } catch (error) {
      if (!(error instanceof VfioError)) throw error;
      hindrance = failureOf(error).message;
    }
  }
  const config = opened?.config ?? configOf(address, paths);
  const siblings = siblingsOf(device, paths);
  const regions = opened?.regions ?? resourcesOf(device);
  const capabilities = config === undefined ? [] : capabilitiesOf(config);
  output.printJson({
    device: deviceJson(device, names, siblings),
    uses: uses.map(({ kind, name, why: reason, fix }) => ({ kind, name, why: reason, fix })),
    opened: opened !== undefined,
    mode: opened?.mode ?? null,
    canReset: opened?.canReset ?? null,
    regions: regions.map(({ name, size, kind, access, mappable, address: at }) => ({
      name,
      size: Number(size),
      kind,
      access: access === "" ? null : access,
      mappable: mappable === "" ? null : mappable,
      address: at === undefined ? null : hex(at),
    })),
    interrupts: opened?.irqs ?? null,
    config:
      config === undefined
        ? null
        : {
            size: config.size,
            command: config.read16(4),
            status: config.read16(6),
            interruptPin: config.read8(0x3d),
            capabilities,
            bytes: options.hex === true ? Buffer.from(config.bytes).toString("hex") : null,
          },
  });
  if (output.json) return undefined;

  printIdentity(output, device, names, siblings);
  for (const { why: reason } of uses) output.print(field("in use", output.colors.yellow(reason)));
  if (hindrance !== undefined) output.print(field("not opened", output.colors.dim(hindrance)));
  if (opened !== undefined)
    output.print(field("opened", `${opened.mode}, ${opened.canReset ? "can" : "cannot"} be reset`));
  printRegions(output, regions);
  printInterrupts(output, opened?.irqs);
  if (config === undefined) return undefined;
  printConfig(output, config, capabilities);
  if (options.hex === true) output.print(`\n${hexDump(config.bytes)}`);
  return undefined;
}

/** Config space as sysfs has it: the header at least, or nothing. */
function configOf(address: string, paths: HostPaths): ConfigBytes | undefined {
  try {
    const bytes = readPciConfig(address, paths);
    return bytes.length < 64 ? undefined : new ConfigBytes(address, bytes);
  } catch (error) {
    if (error instanceof VfioError && error.code !== "ENODEV") return undefined;
    throw error;
  }
}

function whyNotOpen(device: PciDevice, used: boolean, options: Options): string | undefined {
  if (!options.open) return "--no-open";
  if (options.host !== undefined) return "--host only looks";
  if (device.vfio === undefined) return `no VFIO driver has it (vfio bind ${device.address})`;
  return used ? "it is in use" : undefined;
}

function siblingsOf({ address, iommuGroup }: PciDevice, paths: HostPaths): string[] {
  if (iommuGroup === undefined) return [];
  return readIommuGroup(iommuGroup, paths)
    .devices.map(({ name }) => name)
    .filter((name) => name !== address);
}

function field(title: string, text: string): string {
  return `  ${title.padEnd(12)}${text}`;
}

function printIdentity(output: Output, device: PciDevice, names: PciNames, siblings: readonly string[]): void {
  const { colors } = output;
  const ids = `${hex(device.vendorId, 4).slice(2)}:${hex(device.deviceId, 4).slice(2)}`;
  const name = nameOfDevice(device, names);
  output.print(`${colors.bold(device.address)} ${ids}${name === "" ? "" : ` ${name}`}`);
  output.print(
    field("class", `${names.class(device.classCode)} (${hex(device.classCode, 6)}), revision ${device.revision}`),
  );
  output.print(field("driver", device.driver ?? "none"));
  const group = device.iommuGroup === undefined ? "none" : String(device.iommuGroup);
  output.print(field("IOMMU group", siblings.length === 0 ? group : `${group}, with ${siblings.join(" ")}`));
  const { vfio, sriov, physfn } = device;
  if (vfio !== undefined) {
    output.print(
      field("VFIO", [vfio.name, vfio.cdevPath, vfio.groupPath].filter((path) => path !== undefined).join(" ")),
    );
  }
  if (sriov !== undefined) output.print(field("SR-IOV", `${sriov.numVfs} of ${sriov.totalVfs} virtual functions`));
  if (physfn !== undefined) output.print(field("VF of", physfn));
  if (device.numaNode !== undefined) output.print(field("NUMA node", String(device.numaNode)));
  if (device.powerState !== undefined) output.print(field("power", device.powerState));
}

const regionColumns: readonly Column[] = [
  { title: "REGION" },
  { title: "SIZE", align: "right" },
  { title: "KIND", least: 8 },
  { title: "ACCESS" },
  { title: "MAPPABLE", least: 8 },
  { title: "ADDRESS", drop: 1 },
];

function indent(text: string): string {
  return text.replace(/^/gm, "  ");
}

function printTable(output: Output, columns: readonly Column[], rows: readonly (readonly string[])[]): void {
  const used = columns.map((_, index) => rows.some((row) => row[index] !== ""));
  const filled = <T>(cells: readonly T[]) => cells.filter((_, index) => used[index]);
  const head = (text: string) => output.colors.dim(text);
  const table = drawTable(filled(columns), rows.map(filled), { width: output.width - 2, head, wrap: true });
  output.print(`\n${indent(table)}`);
}

function printRegions(output: Output, regions: readonly RegionLine[]): void {
  if (regions.length === 0) return;
  const rows = regions.map(({ name, size, kind, access, mappable, address }) => [
    name,
    sizeText(size),
    kind,
    access,
    mappable,
    address === undefined ? "" : hex(address),
  ]);
  printTable(output, regionColumns, rows);
}

function printInterrupts(output: Output, irqs: readonly IrqLine[] | undefined): void {
  if (irqs === undefined || irqs.length === 0) return;
  const columns = [{ title: "INTERRUPT" }, { title: "COUNT", align: "right" as const }, { title: "", least: 8 }];
  printTable(
    output,
    columns,
    irqs.map(({ name, count, abilities }) => [name, String(count), abilities.join(", ")]),
  );
}

function printConfig(output: Output, config: ConfigBytes, capabilities: ReturnType<typeof capabilitiesOf>): void {
  const command = bitsOf(config.read16(4), commandBits).join(" ") || "nothing on";
  const status = bitsOf(config.read16(6), statusBits).join(" ") || "nothing";
  const cut = config.size <= 64 ? "; as root there is more" : "";
  output.print(`\n  config space, ${config.size} bytes${cut}: command ${command}; status ${status}`);
  if (capabilities.length === 0) return;
  const columns = [{ title: "OFFSET" }, { title: "CAPABILITY" }, { title: "", least: 16 }];
  const rows = capabilities.map(({ offset, name, extended, version, fields }) => [
    hex(offset, 2),
    extended ? `${name} v${version}` : name,
    Object.entries(fields)
      .filter(([, value]) => value !== false)
      .map(([key, value]) => (value === true ? words(key) : `${words(key)} ${value}`))
      .join(", "),
  ]);
  printTable(output, columns, rows);
}

/** `maxPayload` as people write it. */
function words(key: string): string {
  return key.replace(/[A-Z]/g, (letter) => ` ${letter.toLowerCase()}`);
}

/** Sixteen bytes a line, each with its offset. Lines of zeros that repeat are left out, as hexdump does. */
export function hexDump(bytes: Uint8Array, base = 0): string {
  const lines: string[] = [];
  let before = "";
  for (let offset = 0; offset < bytes.length; offset += 16) {
    const row = [...bytes.subarray(offset, offset + 16)].map((byte) => byte.toString(16).padStart(2, "0")).join(" ");
    if (row === before && offset + 16 < bytes.length) {
      if (lines.at(-1) !== "*") lines.push("*");
    } else {
      lines.push(`${(base + offset).toString(16).padStart(8, "0")}  ${row}`);
    }
    before = row;
  }
  return lines.join("\n");
}
