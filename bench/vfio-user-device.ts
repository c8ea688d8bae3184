/**
 * The other process of the vfio-user benchmarks: a device with registers that do nothing, one that interrupts and a copier.
 *
 * `node vfio-user-device.js <socket>`, with an IPC channel to its parent; it ends with that.
 *
 * @module
 */
import { PciDevice } from "vfio/user";
import { serve } from "./device-process.js";
import { COPY_IN, COPY_OUT, COUNT, IOVA, PIECE, RAISE } from "./vfio-user-registers.js";

function benchDevice(): PciDevice {
  // Filled: untouched memory is one page of zeros, and fast to read.
  const own = new Uint8Array(PIECE).fill(1);
  let iova = 0n;
  let count = 0;
  const copies = async (copy: () => Promise<void>): Promise<number> => {
    for (let i = 0; i < count; i++) await copy();
    return count;
  };
  const device: PciDevice = new PciDevice({
    vendorId: 0x1234,
    deviceId: 0xbe9c,
    classCode: 0xff0000,
    bars: [
      {
        size: 4096,
        read(offset) {
          if (offset === COPY_IN) return copies(() => device.dma.readInto(iova, own));
          if (offset === COPY_OUT) return copies(() => device.dma.write(iova, own));
          return offset;
        },
        write(offset, value) {
          if (offset === COUNT) count = value;
          else if (offset === RAISE) for (let i = 0; i < value; i++) device.msix.trigger(0);
        },
        write64(offset, value) {
          if (offset === IOVA) iova = value;
        },
      },
    ],
    interrupts: { msix: 1 },
  });
  return device;
}

serve(benchDevice());
