/**
 * The other process of the benchmarks of registers and interrupts: a device whose BAR 0 is a page of memory that a client can
 * map, with one MSI-X vector. A mapped register then is what it is with VFIO: an address of this process.
 *
 * @module
 */
import { PciDevice } from "vfio/user";
import { serve } from "./device-process.js";

serve(
  new PciDevice({
    vendorId: 0x1234,
    deviceId: 0xbe9d,
    classCode: 0xff0000,
    bars: [{ size: 4096, memory: true }],
    interrupts: { msix: 1 },
  }),
);
