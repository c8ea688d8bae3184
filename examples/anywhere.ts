/**
 * A device, on any Linux: registers, an interrupt, DMA, and a live update in the middle of a transfer.
 *
 * Without arguments the device is one that another process emulates, over a Unix socket: no root, no driver, no IOMMU. With the
 * address of an `edu` device of the machine's (`node dist/examples/anywhere.js 0000:00:02.0`, as root), or with `--kernel` for the
 * first that there is, the same lines drive that one through the kernel.
 *
 * @module
 */
import { type ChildProcess, fork, spawn } from "node:child_process";
import { randomFillSync } from "node:crypto";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { performance } from "node:perf_hooks";
import { fileURLToPath } from "node:url";
import pc from "picocolors";
import { type Container, type Device, DmaBuffer, openContainer } from "vfio";
import { LiveUpdate, receiveLiveUpdate, socketFromOldProcess, socketToSuccessor, UnixSocket } from "vfio/live-update";
import { bindDriver, listPciDevices } from "vfio/pci";
import { eduDevice, UserContainer, VfioUserServer } from "vfio/user";

// edu's registers (QEMU's docs/specs/edu), its commands, and where its own memory begins.
const [IDENTIFICATION, LIVENESS, FACTORIAL, STATUS] = [0x00, 0x04, 0x08, 0x20] as const;
const [CAUSES, ACKNOWLEDGE] = [0x24, 0x64] as const;
const [SOURCE, DESTINATION, COUNT, COMMAND] = [0x80, 0x88, 0x90, 0x98] as const;
const INTERRUPT_WHEN_COMPUTED = 0x80;
const [RUN, TO_MEMORY, INTERRUPT_WHEN_DONE] = [1, 2, 4] as const;
const OWN_MEMORY = 0x40000;
const LENGTH = 4096;
const DMA_MASK = 0x0fff_ffff;

const self = fileURLToPath(import.meta.url);

let began = performance.now();
function say(name: string, text: string): void {
  const time = `${(performance.now() - began).toFixed(1).padStart(7)} ms`;
  // What takes the most room comes last, and has 50 columns of 80.
  console.log(`  ${pc.green("✔")} ${name.padEnd(11)} ${pc.dim(time)}  ${text}`);
  began = performance.now();
}

// ---- the driver ------------------------------------------------------------------------------------------------------

const registersOf = (device: Device) => device.region("bar0").registers();

/** Waits for the device's interrupt, and tells it that it was heard. */
async function interrupt(device: Device): Promise<number> {
  const count = await device.msi.vector(0).wait({ timeout: 10_000 });
  if (count === 0) throw new Error("the device said nothing for ten seconds");
  const registers = registersOf(device);
  registers.write32(ACKNOWLEDGE, registers.read32(CAUSES));
  return count;
}

/** Sets a transfer off between the memory and the device's own. */
function start(device: Device, iova: bigint, direction: "to device" | "to memory"): void {
  const registers = registersOf(device);
  const inwards = direction === "to memory";
  registers.write64(inwards ? DESTINATION : SOURCE, iova);
  registers.write64(inwards ? SOURCE : DESTINATION, OWN_MEMORY);
  registers.write64(COUNT, LENGTH);
  registers.write64(COMMAND, RUN | INTERRUPT_WHEN_DONE | (inwards ? TO_MEMORY : 0));
}

async function drive(container: Container, address: string, successor: Successor): Promise<void> {
  const device = container.attach(address);
  const registers = registersOf(device);
  device.busMaster = true;
  registers.write32(ACKNOWLEDGE, 0xffff_ffff);
  device.msi.enable(1);
  const ids = [0, 2].map((offset) => device.config.read16(offset).toString(16));
  say("attach", `${ids.join(":")} with ${device.regions.length} regions, by ${container.mode}`);

  registers.write32(LIVENESS, 0x1234_5678);
  const version = registers.read32(IDENTIFICATION) >>> 24;
  say("registers", `edu ${version}.0 inverts 0x12345678 to 0x${registers.read32(LIVENESS).toString(16)}`);

  registers.write32(STATUS, INTERRUPT_WHEN_COMPUTED);
  registers.write32(FACTORIAL, 10);
  await interrupt(device);
  say("interrupt", `10! = ${registers.read32(FACTORIAL)}, said an MSI`);

  const memory = DmaBuffer.allocate(2 * LENGTH, { name: "blocks" });
  const mapping = container.map(memory, { mask: DMA_MASK });
  const [out, back] = [memory.bytes.subarray(0, LENGTH), memory.bytes.subarray(LENGTH)];
  randomFillSync(out);
  start(device, mapping.iova, "to device");
  await interrupt(device);
  start(device, mapping.at(LENGTH), "to memory");
  await interrupt(device);
  if (!Buffer.from(out).equals(back)) throw new Error("the data that came back is not the data that went out");
  say("DMA", `${LENGTH} bytes to the device and back, the same`);

  const carrier = await successor.carrier;
  back.fill(0);
  start(device, mapping.at(LENGTH), "to memory");
  let running = false;
  const update = new LiveUpdate({
    containers: { main: container },
    memory: { blocks: memory },
    stop: () => {
      running = (registers.read32(COMMAND) & RUN) !== 0;
    },
  });
  const { blackout } = await update.handOver(carrier);
  const when = running ? "in the middle of a transfer" : "between two transfers";
  say("live update", `${when}: ${blackout.toFixed(1)} ms of silence`);
  await successor.ended;
}

// ---- the successor ---------------------------------------------------------------------------------------------------

/** A process that waits to take over. */
interface Successor {
  readonly carrier: ReturnType<typeof socketToSuccessor>;
  /** Rejects unless it does its part. */
  readonly ended: Promise<void>;
}

function startSuccessor(): Successor {
  const [ours, theirs] = UnixSocket.pair("seqpacket");
  const child = spawn(process.execPath, [self, "--succeed"], { stdio: ["ignore", "inherit", "inherit", theirs.fd] });
  theirs.close();
  const ended = once(child, "exit").then(([code]) => {
    if (code !== 0) throw new Error(`the successor ended with ${code}`);
  });
  ended.catch(() => {});
  return { carrier: socketToSuccessor({ socket: ours }), ended };
}

async function succeed(): Promise<void> {
  const incoming = await receiveLiveUpdate(await socketFromOldProcess({ fd: 3 }));
  await incoming.takeOver();
  began = performance.now();
  const container = incoming.container("main");
  const [device] = container.devices.values();
  const memory = incoming.memory.get("blocks");
  if (device === undefined || memory === undefined) throw new Error("that is not what was to be handed over");
  await interrupt(device);
  const [out, back] = [memory.bytes.subarray(0, LENGTH), memory.bytes.subarray(LENGTH)];
  if (!Buffer.from(out).equals(back)) throw new Error("the data that arrived is not the data that was sent");
  say("successor", `process ${process.pid} has its end, and its ${LENGTH} bytes`);
  container.close();
  memory.close();
}

// ---- where the device is ---------------------------------------------------------------------------------------------

function serve(socket: string): void {
  const server = VfioUserServer.listen(eduDevice(), socket);
  process.send?.("ready");
  process.once("disconnect", () => server.close());
}

async function emulated(): Promise<void> {
  console.log(pc.bold("vfio: a device that another process emulates (vfio-user), without privileges"));
  const directory = mkdtempSync(path.join(tmpdir(), "vfio-user-"));
  const socket = path.join(directory, "edu.sock");
  const server: ChildProcess = fork(self, ["--serve", socket]);
  try {
    await once(server, "message");
    await drive(UserContainer.open({ socket }), "edu", startSuccessor());
  } finally {
    server.disconnect();
    await once(server, "exit");
    rmSync(directory, { recursive: true });
  }
}

async function real(address: string): Promise<void> {
  console.log(pc.bold(`vfio: ${address}, through the kernel`));
  using _binding = bindDriver(address);
  await drive(openContainer(), address, startSuccessor());
}

/** The first edu device of the machine. */
function findEdu(): string {
  const found = listPciDevices().find(({ vendorId, deviceId }) => vendorId === 0x1234 && deviceId === 0x11e8);
  if (found === undefined) throw new Error("there is no edu device here; the rig has one: npm start -- --kernel");
  return found.address;
}

const [role, argument] = process.argv.slice(2);
if (role === "--serve") serve(argument ?? "");
else if (role === "--succeed") await succeed();
else if (role === undefined) await emulated();
else await real(role === "--kernel" ? findEdu() : role);
