// A vfio-user peer that must outlive what the other side does to the memory that they share. foreign-memory.test.ts is the other side,
// at the other end of the socket that is descriptor 3. Its end by a signal is what the test looks for.
//
// usage: node foreign-memory.mjs server | client [trust]
import { DmaBuffer } from "../../dist/index.js";
import { PciDevice, UserContainer, VfioUserServer } from "../../dist/vfio-user/index.js";

const [role, trust] = process.argv.slice(2);
const SOCKET = 3;
const MiB = 1 << 20;

/** A device with a register for each way to use the client's memory at IOVA 0. */
function serve() {
  /** @param {number} offset */
  const use = async (offset) => {
    if (offset === 0) await device.dma.read(0, 8);
    else if (offset === 4) await device.dma.write(0, Uint8Array.of(1, 2, 3, 4, 5, 6, 7, 8));
    else if (offset === 8) device.dma.view(0, 8)?.fill(9);
    // Over two pages, at their border.
    else await device.dma.write(2 * MiB - 4, Uint8Array.of(1, 2, 3, 4, 5, 6, 7, 8));
  };
  const device = new PciDevice({
    name: "peer",
    vendorId: 0x1234,
    deviceId: 0x5678,
    classCode: 0xff0000,
    bars: [{ size: 4096, write: use }],
  });
  VfioUserServer.serve(device, SOCKET, { trustClients: trust === "trust" });
}

/** A driver that reads a register of BAR 0, and a byte of its memory, at each message. */
function drive() {
  const container = UserContainer.open({
    socket: SOCKET,
    trustServer: trust === "trust",
    // The other side runs in an emulated machine, beside this one.
    timeout: 60_000,
  });
  const registers = container.attach().region("bar0").registers();
  const memory = DmaBuffer.allocate(2 * MiB, { pages: "2M" });
  memory.bytes[0] = 1;
  container.map(memory, { iova: 0 });
  process.on("message", () => process.send?.([registers.read8(0), memory.bytes[0]]));
  process.send?.("ready");
}

if (role === "server") serve();
else drive();
