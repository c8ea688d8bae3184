// A process that owns a device, or hands it over, or takes it over, and dies where it is told to. kill.test.ts starts it and
// speaks with it: a line of JSON for each command, and one for each answer.
import { createInterface } from "node:readline";
import { setTimeout as pause } from "node:timers/promises";
import { DmaBuffer, openContainer } from "../../../dist/index.js";
import { native } from "../../../dist/kernel/native.js";
import {
  LiveUpdate,
  receiveLiveUpdate,
  socketFromOldProcess,
  socketToSuccessor,
} from "../../../dist/live-update/index.js";
import { resources } from "../resources.mjs";

/**
 * Where it dies: at the n-th call of the addon, or at a method of its carrier; before or after it.
 *
 * @typedef {{ call?: number, method?: string, when: "before" | "after" }} Death
 */

// QEMU, docs/specs/edu.rst
const EDU = {
  raise: 0x60,
  acknowledge: 0x64,
  source: 0x80,
  destination: 0x88,
  count: 0x90,
  command: 0x98,
  buffer: 0x40000,
};

const [address = ""] = process.argv.slice(2);

/** @type {import("../../../dist/index.js").Container | undefined} */
let container;
/** @type {Death | undefined} */
let death;
let calls = 0;

function die() {
  process.kill(process.pid, "SIGKILL");
}

for (const [name, original] of Object.entries(native)) {
  if (typeof original !== "function") continue;
  Reflect.set(native, name, (/** @type {unknown[]} */ ...args) => {
    const now = death?.call === calls++;
    if (now && death?.when === "before") die();
    const result = Reflect.apply(original, native, args);
    if (now) die();
    return result;
  });
}

/** @param {Death | undefined} at */
function arm(at) {
  death = at;
  calls = 0;
}

/**
 * @template {object} Carrier
 * @param {Carrier} carrier
 * @returns {Carrier}
 */
function deadly(carrier) {
  return new Proxy(carrier, {
    get: (target, key) => {
      const value = Reflect.get(target, key);
      if (typeof value !== "function") return value;
      return (/** @type {unknown[]} */ ...args) => {
        const now = death?.method === key;
        if (now && death?.when === "before") die();
        const result = Reflect.apply(value, target, args);
        if (!now) return result;
        if (!(result instanceof Promise)) return die();
        return result.then((value) => {
          die();
          return value;
        });
      };
    },
  });
}

function edu() {
  const device = container?.devices.get(address);
  if (container === undefined || device === undefined) throw new Error("it is not mine");
  return { container, device, registers: device.region("bar0").registers() };
}

/** The devices' interrupts and DMA work here, and the memory has what its first owner wrote. */
async function works() {
  const { container, device, registers } = edu();
  const [mapping] = container.mappings;
  if (mapping?.memory.kind !== "ram" || !(mapping.memory instanceof DmaBuffer))
    throw new Error("its memory is not there");
  const { bytes } = mapping.memory;
  const vector = device.msi.vector(0);
  vector.take();
  registers.write32(EDU.raise, 1);
  if ((await vector.wait({ timeout: 20_000 })) !== 1) throw new Error("its interrupt does not come");
  registers.write32(EDU.acknowledge, 1);
  bytes.fill(0, 64, 128);
  for (const [from, to, command] of [
    [mapping.iova, BigInt(EDU.buffer), 1],
    [BigInt(EDU.buffer), mapping.at(64), 3],
  ]) {
    registers.write64(EDU.source, from);
    registers.write64(EDU.destination, to);
    registers.write64(EDU.count, 64);
    registers.write64(EDU.command, command);
    // Its interrupt would be the one that is waited for above; and who asks without a pause keeps the emulator from its work.
    while ((registers.read32(EDU.command) & 1) !== 0) await pause(5);
  }
  if (bytes.subarray(0, 64).some((byte, index) => byte !== index + 1)) throw new Error("the memory is another");
  if (bytes.subarray(64, 128).some((byte, index) => byte !== index + 1)) throw new Error("its DMA does not work");
}

/** @param {import("../../../dist/index.js").ContainerMode} mode */
function own(mode) {
  container = openContainer({ mode });
  const device = container.attach(address);
  device.busMaster = true;
  device.region("bar0").registers().write32(EDU.acknowledge, 0xffff_ffff);
  device.msi.enable(1);
  const buffer = DmaBuffer.allocate(8192, { name: "ring" });
  buffer.bytes.set(Array.from({ length: 64 }, (_, index) => index + 1));
  container.map(buffer, { mask: 0xfff_ffff });
}

function disown() {
  if (container === undefined) return;
  const buffers = [...container.mappings].map(({ memory }) => memory);
  container.close();
  for (const buffer of buffers) if (buffer instanceof DmaBuffer) buffer.close();
  container = undefined;
}

/** @param {import("../../../dist/live-update/index.js").IncomingUpdate} incoming */
async function takeOver(incoming) {
  await incoming.takeOver();
  container = incoming.container("main");
}

/** @param {() => Promise<import("../../../dist/live-update/index.js").OutgoingCarrier>} open */
async function handOver(open) {
  if (container === undefined) throw new Error("it is not mine");
  const update = new LiveUpdate({ containers: { main: container } });
  try {
    await update.handOver(deadly(await open()));
  } finally {
    if (update.committed) container = undefined;
  }
}

/** @type {Record<string, (options: any) => unknown>} */
const commands = {
  own: ({ mode }) => own(mode),
  disown: () => disown(),
  works: () => works(),
  resources: () => {
    // With CAP_IPC_LOCK iommufd charges nobody, and what the kernel shows as pinned does not move: see accounting.test.ts.
    const { pinnedKiB: _, ...rest } = resources();
    return rest;
  },
  handOver: async ({ name, death }) => {
    const carrier = socketToSuccessor({ listen: `\0${name}` });
    say({ listening: true });
    return await handOver(async () => {
      const opened = await carrier;
      arm(death);
      return opened;
    });
  },
  takeOver: async ({ name, death }) => {
    const carrier = await socketFromOldProcess({ connect: `\0${name}` });
    arm(death);
    await takeOver(await receiveLiveUpdate(deadly(carrier)));
  },
};

/** @param {object} answer */
function say(answer) {
  process.stdout.write(`${JSON.stringify(answer)}\n`);
}

/**
 * @param {() => unknown} work
 */
async function answer(work) {
  let value;
  let error;
  try {
    value = await work();
  } catch (caught) {
    error = String(caught);
  }
  arm(undefined);
  say({ done: true, value, error, owns: container !== undefined });
}

say({ started: true });

createInterface({ input: process.stdin }).on("line", (line) => {
  const { command, ...options } = JSON.parse(line);
  const work = commands[command];
  if (work !== undefined) answer(() => work(options));
});
process.stdin.on("end", () => process.exit());
