/**
 * A disk image as a PCI disk, for any QEMU that has a vfio-user client (10.1 and later), driven by the guest's own virtio_blk.
 *
 *     node dist/examples/vfio-user-disk.js disk.img /tmp/disk.sock [--read-only]
 *
 * It prints QEMU's options. The guest may come and go, as often as it likes.
 *
 * @module
 */
import { open } from "node:fs/promises";
import { basename } from "node:path";
import { fileDisk, VfioUserServer, virtioBlockDevice } from "vfio/user";

const [image, socket, ...flags] = process.argv.slice(2);
if (image === undefined || socket === undefined) {
  throw new Error("usage: vfio-user-disk.js IMAGE SOCKET [--read-only]");
}
const readOnly = flags.includes("--read-only");

const file = await open(image, readOnly ? "r" : "r+");
const device = virtioBlockDevice(await fileDisk(file), { readOnly, serial: basename(image).slice(0, 20) });
const server = VfioUserServer.listen(device, socket);

const plug = { driver: "vfio-user-pci", socket: { type: "unix", path: socket } };
console.log(`-M q35,memory-backend=ram -m 1G -object memory-backend-memfd,id=ram,size=1G,share=on
-device '${JSON.stringify(plug)}'`);

server.on("connect", () => console.log("a guest is there"));
server.on("disconnect", (error) => console.log("it is gone", error?.message ?? ""));

process.once("SIGINT", async () => {
  server.close();
  await server.idle(); // until nothing of the disk is being read or written any more
  device.close();
  await file.close();
});
