// A device with a BAR that is a page of memory, in a process of its own: node page-server.mjs PATH. Says "ready", and ends with its
// standard input.
import { PciDevice, VfioUserServer } from "../../../dist/vfio-user/index.js";

const [path = ""] = process.argv.slice(2);
const device = new PciDevice({ vendorId: 1, deviceId: 2, classCode: 0xff0000, bars: [{ size: 4096, memory: true }] });
const server = VfioUserServer.listen(device, path);
process.stdout.write("ready\n");
process.stdin.resume();
process.stdin.on("end", () => server.close());
