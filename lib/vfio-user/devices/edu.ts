/**
 * QEMU's teaching device (`-device edu`; docs/specs/edu in QEMU's sources), in TypeScript: the same registers, DMA and
 * interrupts, so that one driver works both.
 *
 * @module
 */

import { checkOptions, checkU64, integer, knownOptions } from "../../base/arguments.js";
import { argTypeError } from "../../base/errors.js";
import { PciDevice } from "../device/pci-device.js";

// BAR 0. Below 0x80 every access is of 4 bytes, from there on of 4 or 8; anything else reads as ones.
const IDENTIFICATION = 0x00;
const LIVENESS = 0x04;
const FACTORIAL = 0x08;
const STATUS = 0x20;
const INTERRUPT_STATUS = 0x24;
const INTERRUPT_RAISE = 0x60;
const INTERRUPT_ACKNOWLEDGE = 0x64;
const DMA_SOURCE = 0x80;
const DMA_DESTINATION = 0x88;
const DMA_COUNT = 0x90;
const DMA_COMMAND = 0x98;
const WIDE = 0x80;
const ONES = 0xffff_ffff;
const ONES_64 = 0xffff_ffff_ffff_ffffn;

const VERSION_1_0 = 0x0100_00ed;
const STATUS_COMPUTING = 0x01;
const STATUS_INTERRUPT = 0x80;
const CAUSE_FACTORIAL = 0x001;
const CAUSE_DMA = 0x100;
const DMA_RUN = 0x1n;
const DMA_TO_MEMORY = 0x2n;
const DMA_INTERRUPT = 0x4n;

/** The device's own memory, where its DMA addresses begin. */
const BUFFER_ADDRESS = 0x40000n;
const BUFFER_SIZE = 4096;

/** What an edu device can be told. */
export interface EduDeviceOptions {
  /** The highest address that its DMA drives. Default 28 bits, as QEMU's. */
  readonly dmaMask?: bigint;
  /** How long a transfer takes, in milliseconds. Default 100, as QEMU's. */
  readonly dmaDelay?: number;
}

/** `n!` modulo 2^32. */
function factorial(n: number): number {
  // 34! has 32 factors of two: from there on nothing is left.
  if (n >= 34) return 0;
  let result = 1;
  for (let factor = 2; factor <= n; factor++) result = Math.imul(result, factor) >>> 0;
  return result;
}

const eduOptions = knownOptions<EduDeviceOptions>({ dmaMask: checkMask, dmaDelay: integer(0, 2 ** 31 - 1) });

function checkMask(name: string, value: unknown): void {
  if (typeof value !== "bigint") throw argTypeError(name, "a bigint", value);
  checkU64(name, value);
}

/** Makes an edu device: 1234:11e8, with one BAR of registers, INTx and one vector of MSI. */
export function eduDevice(options: EduDeviceOptions = {}): PciDevice {
  checkOptions("options", options, eduOptions);
  const { dmaMask = 0x0fff_ffffn, dmaDelay = 100 } = options;
  const buffer = new Uint8Array(BUFFER_SIZE);
  const dma = { source: 0n, destination: 0n, count: 0n, command: 0n };
  let liveness = 0;
  let computed = 0;
  let status = 0;
  let causes = 0;
  let transfer: NodeJS.Timeout | undefined;
  let computation: NodeJS.Immediate | undefined;

  function raise(cause: number): void {
    causes = (causes | cause) >>> 0;
    if (causes === 0) return;
    if (device.msi.enabled) device.msi.trigger();
    else device.intx.assert();
  }

  function acknowledge(cause: number): void {
    causes = (causes & ~cause) >>> 0;
    if (causes === 0) device.intx.deassert();
  }

  function compute(n: number): void {
    // QEMU's computes on a thread of its own: the driver finds it busy.
    status |= STATUS_COMPUTING;
    computed = n;
    computation = setImmediate(() => {
      computed = factorial(n);
      status &= ~STATUS_COMPUTING;
      if ((status & STATUS_INTERRUPT) !== 0) raise(CAUSE_FACTORIAL);
    });
  }

  /** Copies, as far as the IOMMU lets it: what cannot be read is zeros, what cannot be written is lost. */
  async function copy(): Promise<void> {
    const toMemory = (dma.command & DMA_TO_MEMORY) !== 0n;
    const inside = (toMemory ? dma.source : dma.destination) - BUFFER_ADDRESS;
    const outside = (toMemory ? dma.destination : dma.source) & dmaMask;
    // Beyond its buffer QEMU's stops the whole machine. This one does nothing.
    if (inside < 0n || inside + dma.count > BigInt(BUFFER_SIZE)) return;
    const part = buffer.subarray(Number(inside), Number(inside + dma.count));
    if (toMemory) {
      if (device.busMaster) await device.dma.write(outside, part).catch(() => {});
    } else {
      const data = device.busMaster ? await device.dma.read(outside, part.length).catch(() => undefined) : undefined;
      if (data === undefined) part.fill(0);
      else part.set(data);
    }
  }

  function start(command: bigint): void {
    if ((command & DMA_RUN) === 0n) return;
    dma.command = command;
    transfer = setTimeout(async () => {
      const mine = transfer;
      await copy();
      // A reset came in between.
      if (transfer !== mine) return;
      dma.command &= ~DMA_RUN;
      if ((dma.command & DMA_INTERRUPT) !== 0n) raise(CAUSE_DMA);
    }, dmaDelay);
  }

  function readDma(offset: number): bigint {
    switch (offset) {
      case DMA_SOURCE:
        return dma.source;
      case DMA_DESTINATION:
        return dma.destination;
      case DMA_COUNT:
        return dma.count;
      case DMA_COMMAND:
        return dma.command;
      default:
        return ONES_64;
    }
  }

  function writeDma(offset: number, value: bigint): void {
    // While it runs, nothing of it can be changed.
    if ((dma.command & DMA_RUN) !== 0n) return;
    if (offset === DMA_SOURCE) dma.source = value;
    else if (offset === DMA_DESTINATION) dma.destination = value;
    else if (offset === DMA_COUNT) dma.count = value;
    else if (offset === DMA_COMMAND) start(value);
  }

  function stop(): void {
    clearTimeout(transfer);
    clearImmediate(computation);
    transfer = undefined;
    dma.command &= ~DMA_RUN;
    status &= ~STATUS_COMPUTING;
  }

  const device: PciDevice = new PciDevice({
    name: "edu",
    vendorId: 0x1234,
    deviceId: 0x11e8,
    classCode: 0x00ff00,
    revision: 0x10,
    subsystemVendorId: 0x1af4,
    subsystemId: 0x1100,
    interrupts: { intx: true, msi: 1 },
    bars: [
      {
        size: 1 << 20,
        read(offset, width) {
          if (width !== 4) return ONES;
          if (offset >= WIDE) return Number(readDma(offset) & BigInt(ONES));
          switch (offset) {
            case IDENTIFICATION:
              return VERSION_1_0;
            case LIVENESS:
              return liveness;
            case FACTORIAL:
              return computed;
            case STATUS:
              return status;
            case INTERRUPT_STATUS:
              return causes;
            default:
              return ONES;
          }
        },
        write(offset, value, width) {
          if (width !== 4) return;
          if (offset >= WIDE) writeDma(offset, BigInt(value));
          else if (offset === LIVENESS) liveness = ~value >>> 0;
          else if (offset === FACTORIAL && (status & STATUS_COMPUTING) === 0) compute(value);
          else if (offset === STATUS) status = (status & ~STATUS_INTERRUPT) | (value & STATUS_INTERRUPT);
          else if (offset === INTERRUPT_RAISE) raise(value);
          else if (offset === INTERRUPT_ACKNOWLEDGE) acknowledge(value);
        },
        read64: readDma,
        write64: writeDma,
      },
    ],
    reset() {
      stop();
      acknowledge(ONES);
      Object.assign(dma, { source: 0n, destination: 0n, count: 0n, command: 0n });
      [liveness, computed, status] = [0, 0, 0];
    },
    disconnected: stop,
  });
  return device;
}
