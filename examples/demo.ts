/**
 * The package's main job on real input: three PCI devices in each of the kernel's five container modes. Registers are
 * read, memory is mapped and transferred by DMA through the IOMMU, interrupts come in, and what is not mapped stays out
 * of reach.
 *
 * `npm start` runs it in the rig. On a host of one's own: `node dist/examples/demo.js`, as root, with devices like those.
 *
 * @module
 */
import { createHash, randomFillSync } from "node:crypto";
import { release } from "node:os";
import { performance } from "node:perf_hooks";
import pc from "picocolors";
import { type Container, containerModes, DmaBuffer, type DmaMapping, openContainer } from "vfio";
import { bindDriver, listPciDevices } from "vfio/pci";
import { Edu } from "./edu.js";
import { Igb } from "./igb.js";
import { Nvme } from "./nvme.js";

const KiB = 1024;

/** How long each step took, by mode: for the table at the end. */
const times = new Map<string, Map<string, number>>();

function milliseconds(time: number): string {
  return `${time.toFixed(1).padStart(7)} ms`;
}

/** Does one thing and says what came of it, and how long it took. */
async function step(mode: string, name: string, act: () => string | Promise<string>): Promise<void> {
  const start = performance.now();
  const outcome = await act();
  const time = performance.now() - start;
  const ofMode = times.get(mode) ?? new Map<string, number>();
  times.set(mode, ofMode.set(name, time));
  // What takes the most room comes last, and has 50 columns of 80.
  console.log(`  ${pc.green("✔")} ${name.padEnd(13)} ${pc.dim(milliseconds(time))}  ${outcome}`);
}

function sha(bytes: Uint8Array): string {
  return createHash("sha256").update(bytes).digest("hex").slice(0, 8);
}

/** What was transferred must be what arrived. */
function expectSame(expected: Uint8Array, arrived: Uint8Array): string {
  if (sha(expected) !== sha(arrived)) throw new Error("the data that arrived is not the data that was sent");
  return `sha256 ${sha(arrived)}…`;
}

const hex = (value: bigint | number) => `0x${value.toString(16)}`;

/** The first device with these IDs. */
function find(vendorId: number, deviceId: number, name: string): string {
  const found = listPciDevices().find((each) => each.vendorId === vendorId && each.deviceId === deviceId);
  if (found === undefined) throw new Error(`there is no ${name} here; run this in the rig: npm start`);
  return found.address;
}

async function driveEdu(mode: string, container: Container, address: string): Promise<void> {
  let edu: Edu | undefined;
  await step(mode, "edu attach", () => {
    edu = Edu.open(container, address);
    const { info, config } = edu.device;
    const [vendor, device] = [config.vendorId, config.deviceId].map((id) => id.toString(16));
    return `${address} is ${vendor}:${device}, ${info.regionCount} regions, MSI enabled`;
  });
  using opened = edu ?? Edu.open(container, address);
  await step(mode, "edu registers", async () => {
    const factorial = await opened.factorial(12);
    return `version ${opened.version}, ${opened.isAlive() ? "alive" : "dead"}; 12! = ${factorial}, said an MSI`;
  });
  using buffer = DmaBuffer.allocate(2 * Edu.bufferSize);
  let mapped: DmaMapping | undefined;
  await step(mode, "edu map", () => {
    mapped = opened.map(buffer);
    return `8 KiB at IOVA ${hex(mapped.iova)}, within its 28 bits`;
  });
  using mapping = mapped ?? opened.map(buffer);
  await step(mode, "edu DMA", async () => {
    const [out, back] = [buffer.bytes.subarray(0, Edu.bufferSize), buffer.bytes.subarray(Edu.bufferSize)];
    randomFillSync(out);
    await opened.toDevice({ iova: mapping.iova, length: Edu.bufferSize });
    await opened.fromDevice({ iova: mapping.at(Edu.bufferSize), length: Edu.bufferSize });
    return `4 KiB to the device and back, ${expectSame(out, back)}`;
  });
  await step(mode, "protection", async () => {
    const before = sha(buffer.bytes);
    const { iova } = mapping;
    mapping.unmap();
    await opened.fromDevice({ iova, length: Edu.bufferSize });
    if (sha(buffer.bytes) !== before) throw new Error("the device wrote to memory that was not mapped any more");
    return "what it writes there now is stopped by the IOMMU";
  });
}

async function driveNvme(mode: string, container: Container, address: string): Promise<void> {
  let nvme: Nvme | undefined;
  await step(mode, "nvme attach", async () => {
    nvme = await Nvme.open(container, address);
    const { model, firmware } = nvme.controller;
    const { blocks, blockSize } = nvme.namespace;
    return `${model} (${firmware}), ${(Number(blocks) * blockSize) / KiB / KiB} MiB in blocks of ${blockSize}`;
  });
  using opened = nvme ?? (await Nvme.open(container, address));
  await step(mode, "nvme blocks", async () => {
    using out = opened.allocate(256 * KiB);
    using back = opened.allocate(256 * KiB);
    randomFillSync(out.bytes);
    await opened.write(0, out);
    await opened.flush();
    await opened.read(0, back);
    return `256 KiB written and read again, ${expectSame(out.bytes, back.bytes)}`;
  });
}

async function driveIgb(mode: string, container: Container, address: string): Promise<void> {
  using device = container.attach(address);
  let igb: Igb | undefined;
  await step(mode, "igb attach", async () => {
    igb = await Igb.open(container, device);
    return `${address} in loopback, ${device.msix.count} MSI-X vectors`;
  });
  using opened = igb ?? (await Igb.open(container, device));
  await step(mode, "igb DMA", async () => {
    using buffer = DmaBuffer.allocate(256 * KiB);
    using mapping = container.map(buffer);
    const [out, back] = [buffer.bytes.subarray(0, 128 * KiB), buffer.bytes.subarray(128 * KiB)];
    randomFillSync(out);
    await opened.copy(mapping.iova, mapping.at(128 * KiB), 128 * KiB);
    return `128 KiB through the network card, ${expectSame(out, back)}`;
  });
  await step(mode, "igb interrupt", async () => {
    const arrived = opened.interrupt.wait({ timeout: 10_000 });
    opened.sendInterrupt();
    return `MSI-X vector 0 raised by the card, counted ${await arrived} time`;
  });
}

function printTable(): void {
  const steps = [...(times.values().next().value?.keys() ?? [])];
  const modes = [...times.keys()];
  const width = (mode: string) => Math.max(9, mode.length + 2);
  console.log(`\n${pc.bold("milliseconds".padEnd(15))}${modes.map((mode) => mode.padStart(width(mode))).join("")}`);
  for (const name of steps) {
    const row = modes.map((mode) => (times.get(mode)?.get(name) ?? Number.NaN).toFixed(1).padStart(width(mode)));
    console.log(`${name.padEnd(15)}${row.join("")}`);
  }
}

console.log(pc.bold("vfio: three PCI devices from TypeScript, in the kernel's five container modes"));
console.log(pc.dim(`Linux ${release()}, Node ${process.versions.node}\n`));

const devices = {
  edu: find(0x1234, 0x11e8, "edu"),
  nvme: find(0x1b36, 0x0010, "nvme"),
  igb: find(0x8086, 0x10c9, "igb"),
};
{
  using _edu = bindDriver(devices.edu);
  using _nvme = bindDriver(devices.nvme);
  using _igb = bindDriver(devices.igb);
  for (const mode of containerModes) {
    console.log(pc.bold(pc.cyan(mode)));
    using container = openContainer({ mode });
    await driveEdu(mode, container, devices.edu);
    await driveNvme(mode, container, devices.nvme);
    await driveIgb(mode, container, devices.igb);
  }
}
console.log(pc.dim("\nThe devices are back with the drivers that they had before."));
printTable();
