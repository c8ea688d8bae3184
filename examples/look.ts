/**
 * What a device has: regions, interrupts, capabilities, its first register; and memory in its reach. docs/first-device.md has
 * it step by step.
 *
 *     npm run rig -- node dist/examples/look.js 0000:00:02.0
 *
 * @module
 */
import { DmaBuffer, openContainer } from "vfio";
import { bindDriver } from "vfio/pci";

const [address = "01:00.0"] = process.argv.slice(2);

using _binding = bindDriver(address); // nothing happens if vfio-pci has it already
using container = openContainer();
using device = container.attach(address);

const { vendorId, deviceId, capabilities } = device.config;
console.log(`${device}: ${vendorId.toString(16)}:${deviceId.toString(16)}, by way of ${container}`);
for (const { name, size, mappable } of device.regions) {
  console.log(`  ${name}: ${size} bytes${mappable ? ", can be mapped" : ""}`);
}
for (const irq of device.irqs) console.log(`  ${irq.name}: ${irq.count}`);
console.log(`  capabilities: ${capabilities.map(({ name }) => name).join(", ")}`);

// Registers. This is one read of 32 bits, and not two of 16, nor none because somebody read it before.
const registers = device.region("bar0").registers();
console.log(`  bar0 begins with 0x${registers.read32(0).toString(16)}`);

// Memory for the device. From here on it can reach these pages at this address, and no others at all.
device.busMaster = true;
using memory = DmaBuffer.allocate(2 << 20);
using mapping = container.map(memory);
console.log(`  ${memory.length} bytes of memory are at IOVA 0x${mapping.iova.toString(16)}`);
