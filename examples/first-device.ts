/**
 * The README's forty lines: a PCI device computes and moves memory, and says so with interrupts.
 *
 * `npm run rig -- node dist/examples/first-device.js`
 *
 * @module
 */
import { DmaBuffer, openContainer } from "vfio";
import { bindDriver, listPciDevices } from "vfio/pci";

// QEMU's "edu" device: docs/specs/edu.rst in QEMU's sources.
const address = listPciDevices().find((device) => device.vendorId === 0x1234 && device.deviceId === 0x11e8)?.address;
if (address === undefined) throw new Error("no edu device here: run this in the rig");

using _binding = bindDriver(address); // vfio-pci from here on, the former driver afterwards
using container = openContainer(); // an I/O address space: iommufd, or type1v2 on older kernels
using device = container.attach(address);
device.busMaster = true;

// Registers: each call is exactly one access of exactly that width.
const registers = device.region("bar0").registers();
console.log(`edu 0x${registers.read32(0x00).toString(16)} at ${address}, ${device.msi.count} MSI vector`);

// An interrupt is an event, an async iterator, or something to wait for.
const interrupt = device.msi.enableVector(0);
registers.write32(0x20, 0x80); // raise one when the factorial is done
registers.write32(0x08, 10);
await interrupt.wait({ timeout: 5000 });
registers.write32(0x64, registers.read32(0x24)); // acknowledge it
console.log(`10! = ${registers.read32(0x08)}, said the device`);

// DMA: memory of ours that the device reaches at an I/O virtual address, and nowhere else.
using memory = DmaBuffer.allocate(4096);
using mapping = container.map(memory, { mask: 0x0fff_ffff }); // the device drives 28 address bits
memory.bytes.set(Buffer.from("through the IOMMU and back"));
for (const [from, to, command] of [
  [mapping.iova, 0x40000n, 1 | 4], // memory to the device's buffer; 4: interrupt at the end
  [0x40000n, mapping.at(2048), 1 | 2 | 4], // and back, to another place
] as const) {
  registers.write64(0x80, from);
  registers.write64(0x88, to);
  registers.write64(0x90, 26);
  registers.write64(0x98, command);
  await interrupt.wait({ timeout: 5000 });
  registers.write32(0x64, registers.read32(0x24));
}
console.log(`"${Buffer.from(memory.bytes.subarray(2048, 2074))}"`);
