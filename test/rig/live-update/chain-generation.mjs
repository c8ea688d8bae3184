// One generation of a chain: it takes the devices over, looks whether everything is as the one before has left it, says what it
// holds in a line of JSON, and hands them on. chain.test.ts starts the first one, with: generations, edu, igb, Node binaries...
import { spawn } from "node:child_process";
import { fileURLToPath } from "node:url";
import { DmaBuffer, openContainer } from "../../../dist/index.js";
import { UnixSocket } from "../../../dist/kernel/unix-socket.js";
import {
  execInPlace,
  incomingExec,
  LiveUpdate,
  receiveLiveUpdate,
  socketFromOldProcess,
  socketToSuccessor,
} from "../../../dist/live-update/index.js";
import { resources } from "../resources.mjs";

const program = fileURLToPath(import.meta.url);
// QEMU, docs/specs/edu.rst
const EDU = { raise: 0x60, acknowledge: 0x64, source: 0x80, destination: 0x88, count: 0x90, command: 0x98 };
const RING = 0x100_0000;
const LENGTH = 64 * 1024;

/**
 * @typedef {object} Chain
 * @property {number} generation
 * @property {number} generations
 * @property {string} edu
 * @property {string} igb
 * @property {string[]} nodes
 * @property {string} carrier how this one came
 */

/** @typedef {Record<string, import("../../../lib/index.js").Container>} Containers */

/** @template T @param {T | undefined} value @param {string} what @returns {T} */
function must(value, what) {
  if (value === undefined) throw new Error(`${what} is not there`);
  return value;
}

/** @param {Containers} containers @param {Chain} chain */
const eduOf = (containers, chain) => must(containers.legacy?.devices.get(chain.edu), "edu");

/** Has edu copy what a generation has left at the start of the ring to a place of its own, and looks at it.
 * @param {Containers} containers @param {Chain} chain @param {DmaBuffer} ring */
function copy(containers, chain, ring) {
  const registers = eduOf(containers, chain).region("bar0").registers();
  for (const [from, to, command] of [
    [RING, 0x40000, 1],
    [0x40000, RING + 8192, 3],
  ]) {
    registers.write64(EDU.source, must(from, "source"));
    registers.write64(EDU.destination, must(to, "destination"));
    registers.write64(EDU.count, 64);
    registers.write64(EDU.command, must(command, "command"));
    while ((registers.read32(EDU.command) & 1) !== 0);
  }
  if (ring.bytes[8192] !== chain.generation - 1) throw new Error(`edu copied ${ring.bytes[8192]}`);
}

/** @param {Chain} chain */
function first(chain) {
  const legacy = openContainer({ mode: "type1v2" });
  const native = openContainer({ mode: "iommufd" });
  const edu = legacy.attach(chain.edu);
  edu.busMaster = true;
  edu.region("bar0").registers().write32(EDU.acknowledge, 0xffff_ffff);
  edu.msi.enable(1);
  const igb = native.attach(chain.igb);
  for (const index of [0, 3]) igb.msix.enableVector(index);
  const ring = DmaBuffer.allocate(LENGTH, { name: "ring" });
  legacy.map(ring, { iova: RING });
  native.map(ring, { iova: RING, write: false });
  // What the next one finds.
  igb.msix.vector(3).trigger();
  edu.region("bar0").registers().write32(EDU.raise, 1);
  return { containers: { legacy, native }, ring };
}

/** @param {import("../../../lib/live-update/index.js").IncomingUpdate} incoming */
async function inherit(incoming) {
  await incoming.takeOver();
  const text = new TextDecoder().decode(incoming.state);
  /** @type {Chain} */
  const chain = JSON.parse(text);
  const containers = { legacy: incoming.container("legacy"), native: incoming.container("native") };
  return { chain, containers, ring: must(incoming.memory.get("ring"), "the ring") };
}

/** Takes exactly the one interrupt of each that the generation before has left, and leaves one.
 * @param {Containers} containers @param {Chain} chain */
async function interrupts(containers, chain) {
  const edu = eduOf(containers, chain);
  const igb = must(containers.native?.devices.get(chain.igb), "igb");
  const counts = [
    await edu.msi.vector(0).wait({ timeout: 10_000 }),
    await igb.msix.vector(3).wait({ timeout: 10_000 }),
  ];
  if (String(counts) !== "1,1") throw new Error(`it found ${counts} interrupts, and 1 of each was left`);
  if (igb.msix.vector(0).take() !== 0) throw new Error("it found an interrupt that nobody has left");
  igb.msix.vector(3).trigger();
  edu.region("bar0").registers().write32(EDU.raise, 1);
}

async function begin() {
  const exec = incomingExec();
  if (exec !== undefined) return inherit(await receiveLiveUpdate(exec));
  if (process.argv[2] === "successor") {
    return inherit(await receiveLiveUpdate(await socketFromOldProcess({ fd: 3 })));
  }
  const [generations, edu = "", igb = "", ...nodes] = process.argv.slice(2);
  const chain = { generation: 1, generations: Number(generations), edu, igb, nodes, carrier: "none" };
  return { chain, ...first(chain) };
}

const { chain, containers, ring } = await begin();
if (chain.generation > 1) {
  copy(containers, chain, ring);
  await interrupts(containers, chain);
}
ring.bytes.fill(chain.generation, 0, 64);
const { rss } = process.memoryUsage();
const held = { ...resources(), mappings: Object.values(containers).map(({ mappingCount }) => mappingCount) };
const { generation, carrier } = chain;
console.log(JSON.stringify({ generation, carrier, node: process.version, pid: process.pid, rss, held }));

if (chain.generation === chain.generations) {
  for (const container of Object.values(containers)) container.close();
  ring.close();
  console.log(JSON.stringify({ end: true }));
} else {
  const node = must(chain.nodes[chain.generation % chain.nodes.length], "a Node");
  const next = chain.generation % 2 === 0 ? "exec" : "socket";
  const after = { ...chain, generation: chain.generation + 1, carrier: next };
  const update = new LiveUpdate({ containers, memory: { ring }, save: () => Buffer.from(JSON.stringify(after)) });
  if (next === "exec") {
    await update.handOver(execInPlace({ command: node, args: [program] }));
  } else {
    const [ours, theirs] = UnixSocket.pair("seqpacket");
    const child = spawn(node, [program, "successor"], { stdio: ["ignore", "inherit", "inherit", theirs.fd] });
    theirs.close();
    child.unref();
    await update.handOver(await socketToSuccessor({ socket: ours }));
  }
}
