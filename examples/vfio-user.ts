/**
 * A device without hardware, without a kernel driver and without root: `edu`, emulated by another process, driven over a Unix
 * socket as it would be driven anywhere.
 *
 * `node dist/examples/vfio-user.js`
 *
 * @module
 */
import { fork } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { fileURLToPath } from "node:url";
import { DmaBuffer } from "vfio";
import { eduDevice, UserContainer, VfioUserServer } from "vfio/user";
import { Edu } from "./edu.js";

// A register of edu's: it reads as the inverse of what was written.
const LIVENESS = 0x04;

/** The other process: the device, until its parent goes away. */
function serve(socket: string): void {
  const server = VfioUserServer.listen(eduDevice(), socket);
  process.send?.("ready");
  process.once("disconnect", () => server.close());
}

/** This one: the driver. */
async function drive(socket: string): Promise<void> {
  using container = UserContainer.open({ socket });
  container.on("lost", ({ message }) => console.error(message));
  using edu = Edu.open(container, "edu");
  const { device } = edu;
  const vendor = device.config.read16(0).toString(16);
  console.log(`${vendor}:${device.config.read16(2).toString(16)} behind ${path.basename(socket)}: edu ${edu.version}`);

  // Registers: each access is a message to the other process and back, posted where nothing comes back.
  const registers = device.region("bar0").registers();
  registers.write32(LIVENESS, 0x1234_5678);
  console.log(`it inverts 0x12345678 to 0x${registers.read32(LIVENESS).toString(16)}`);

  // Interrupts: an eventfd of ours that the other process writes to.
  console.log(`10! = ${await edu.factorial(10)}, and an interrupt said when`);

  // DMA: the other process has the memory's descriptor, and reads and writes the memory itself.
  using memory = DmaBuffer.allocate(4096);
  using mapping = edu.map(memory);
  const text = Buffer.from("over a socket and back");
  memory.bytes.set(text);
  await edu.toDevice({ iova: mapping.iova, length: text.length });
  await edu.fromDevice({ iova: mapping.at(2048), length: text.length });
  console.log(`"${Buffer.from(memory.bytes.subarray(2048, 2048 + text.length))}"`);

  // What is not mapped is not reached.
  mapping.unmap();
  memory.bytes.fill(0);
  await edu.fromDevice({ iova: mapping.iova, length: text.length });
  console.log(`written where nothing is mapped any more: ${memory.bytes.filter((byte) => byte !== 0).length} bytes`);
}

const [socket] = process.argv.slice(2);
if (socket !== undefined) {
  serve(socket);
} else {
  const directory = mkdtempSync(path.join(tmpdir(), "vfio-user-"));
  const other = path.join(directory, "edu.sock");
  const child = fork(fileURLToPath(import.meta.url), [other]);
  try {
    await once(child, "message");
    await drive(other);
  } finally {
    child.disconnect();
    await once(child, "exit");
    rmSync(directory, { recursive: true });
  }
}
