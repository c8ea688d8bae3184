/**
 * A virtio device behind PCI, of the modern form (virtio 1.2, section 4.1): what all kinds of virtio devices have in common.
 *
 * @module
 */
import { checkBytes, checkFunction, checkInteger, checkObject, checkString, checkU64 } from "../../base/arguments.js";
import { argTypeError, VfioError } from "../../base/errors.js";
import { type CapabilityImage, vendorSpecific } from "../device/pci-config.js";
import { PciDevice } from "../device/pci-device.js";
import { DriverError, type QueueRequest, Virtqueue } from "./virtio-queue.js";

/** What a kind of virtio device adds. */
export interface VirtioDevice {
  readonly name: string;
  /** The kind: 1 network, 2 block, 4 entropy, ... */
  readonly type: number;
  readonly classCode: number;
  /** What it can do besides being of version 1: feature bits of the kind, and VIRTIO_F_INDIRECT_DESC. */
  readonly features: bigint;
  /** The registers of the kind, which the driver reads. */
  readonly config: Uint8Array;
  readonly queues: number;
  readonly queueSize?: number;
  /**
   * Does what a request asks for.
   *
   * @param features what the driver agreed to
   * @returns how many bytes of the request's memory were written
   */
  request(queue: number, request: QueueRequest, features: bigint): Promise<number>;
}

const VENDOR_RED_HAT = 0x1af4;
const FIRST_MODERN_ID = 0x1040;
/** The driver may put a table of descriptors into the place of one: the queue here takes them. */
export const VIRTIO_F_INDIRECT_DESC = 1n << 28n;
const VIRTIO_F_VERSION_1 = 1n << 32n;

// Where the structures lie in the BAR: a page each.
const COMMON = 0x0000;
const ISR = 0x1000;
const CONFIG = 0x2000;
const NOTIFY = 0x3000;
const BAR = 0;
const BAR_SIZE = 0x4000;
const NOTIFY_STEP = 4;
// cfg_type of a capability
const CAP_COMMON = 1;
const CAP_NOTIFY = 2;
const CAP_ISR = 3;
const CAP_DEVICE = 4;

const STATUS_DRIVER_OK = 0x04;
const STATUS_FEATURES_OK = 0x08;
const STATUS_NEEDS_RESET = 0x40;
const NO_VECTOR = 0xffff;
const ISR_QUEUE = 0x1;
const ISR_CONFIG = 0x2;

function capability(type: number, offset: number, length: number, more: readonly number[] = []): CapabilityImage {
  const data = new Uint8Array(13 + 4 * more.length);
  const view = new DataView(data.buffer);
  view.setUint8(0, type);
  view.setUint8(1, BAR);
  view.setUint32(5, offset, true);
  view.setUint32(9, length, true);
  for (const [i, value] of more.entries()) view.setUint32(13 + 4 * i, value, true);
  return vendorSpecific(data);
}

interface Queue {
  size: number;
  vector: number;
  enabled: boolean;
  descriptors: bigint;
  available: bigint;
  used: bigint;
  ring: Virtqueue | undefined;
  /** The driver rang while requests were being worked at. */
  again: boolean;
  /** The work at its requests, while there is some. */
  working: Promise<void> | undefined;
}

function checkKind(kind: VirtioDevice): void {
  checkObject("kind", kind);
  checkString("kind.name", kind.name);
  checkInteger("kind.type", kind.type, 0, 0xffff - FIRST_MODERN_ID);
  checkInteger("kind.classCode", kind.classCode, 0, 0xff_ffff);
  if (typeof kind.features !== "bigint") throw argTypeError("kind.features", "a bigint", kind.features);
  checkU64("kind.features", kind.features);
  checkBytes("kind.config", kind.config);
  checkInteger("kind.queues", kind.queues, 0, 0xffff);
  if (kind.queueSize !== undefined) checkInteger("kind.queueSize", kind.queueSize, 1, 0x8000);
  checkFunction("kind.request", kind.request);
}

/**
 * Makes a virtio device. The requests of a queue are worked at one after the other, those of several queues side by side.
 *
 * What `request` throws stops the device until the driver resets it. A {@link DriverError}, and what `device.dma` throws, is the
 * driver's fault; anything else is told as a fault of the program.
 */
export function virtioPciDevice(kind: VirtioDevice): PciDevice {
  checkKind(kind);
  const features = kind.features | VIRTIO_F_VERSION_1;
  const queueSize = kind.queueSize ?? 256;
  let featureSelect = 0;
  let driverFeatureSelect = 0;
  let driverFeatures = 0n;
  let status = 0;
  let configVector = NO_VECTOR;
  let isr = 0;
  let queueSelect = 0;
  let queues: Queue[] = [];

  function forget(): void {
    [featureSelect, driverFeatureSelect, status, isr, queueSelect] = [0, 0, 0, 0, 0];
    driverFeatures = 0n;
    configVector = NO_VECTOR;
    queues = Array.from({ length: kind.queues }, () => ({
      size: queueSize,
      vector: NO_VECTOR,
      enabled: false,
      descriptors: 0n,
      available: 0n,
      used: 0n,
      ring: undefined,
      again: false,
      working: undefined,
    }));
  }
  forget();

  // ---- interrupts --------------------------------------------------------------------------------------------------

  function interrupt(vector: number, cause: number): void {
    if (vector !== NO_VECTOR) {
      device.msix.trigger(vector);
      return;
    }
    isr |= cause;
    device.intx.assert();
  }

  /** Reading tells, and ends it. */
  function readIsr(): number {
    const causes = isr;
    isr = 0;
    device.intx.deassert();
    return causes;
  }

  // ---- queues ------------------------------------------------------------------------------------------------------

  function ring(index: number): void {
    const queue = queues[index];
    if (queue === undefined || !queue.enabled) return;
    if ((status & (STATUS_DRIVER_OK | STATUS_NEEDS_RESET)) !== STATUS_DRIVER_OK) return;
    queue.again = true;
    queue.working ??= work(index, queue).finally(() => {
      queue.working = undefined;
      // It rang when the last look was over already.
      if (queue.again && !paused && queues[index] === queue) ring(index);
    });
  }

  async function work(index: number, queue: Queue): Promise<void> {
    const { size, descriptors, available, used } = queue;
    const { client } = device;
    queue.ring ??= new Virtqueue(client.dma, { size, descriptors, available, used });
    const { ring } = queue;
    try {
      while (queue.again && !paused) {
        queue.again = false;
        let finished = 0;
        for (let request = await ring.next(); request !== undefined; request = await ring.next()) {
          await ring.finish(request, await kind.request(index, request, driverFeatures));
          finished++;
          if (paused) {
            queue.again = true;
            break;
          }
        }
        if (finished > 0 && (await ring.wantsInterrupt())) interrupt(queue.vector, ISR_QUEUE);
      }
    } catch (error) {
      // The client, and with it the driver, may simply be gone.
      if (client.signal.aborted) return;
      status |= STATUS_NEEDS_RESET;
      interrupt(configVector, ISR_CONFIG);
      // The memory refuses an address that the driver made up.
      if (!(error instanceof DriverError || error instanceof VfioError)) device.fault(error, "a request");
    }
  }

  let paused = false;

  /** Lets what is under way come to its end, and begins nothing new meanwhile. */
  async function pause(): Promise<void> {
    paused = true;
    await Promise.allSettled(queues.map(({ working }) => working));
  }

  function resume(): void {
    paused = false;
    for (const [index, queue] of queues.entries()) if (queue.again) ring(index);
  }

  // ---- the common structure ----------------------------------------------------------------------------------------

  const half = (value: bigint, select: number) =>
    select > 1 ? 0 : Number((value >> BigInt(32 * select)) & 0xffff_ffffn);

  function readCommon(offset: number): number {
    const queue = queues[queueSelect];
    switch (offset) {
      case 0x00:
        return featureSelect;
      case 0x04:
        return half(features, featureSelect);
      case 0x08:
        return driverFeatureSelect;
      case 0x0c:
        return half(driverFeatures, driverFeatureSelect);
      case 0x10:
        return configVector;
      case 0x12:
        return kind.queues;
      case 0x14:
        return status;
      case 0x16:
        return queueSelect;
      case 0x18:
        return queue?.size ?? 0;
      case 0x1a:
        return queue?.vector ?? NO_VECTOR;
      case 0x1c:
        return queue?.enabled === true ? 1 : 0;
      case 0x1e:
        return queueSelect;
      case 0x20:
      case 0x24:
        return half(queue?.descriptors ?? 0n, (offset - 0x20) / 4);
      case 0x28:
      case 0x2c:
        return half(queue?.available ?? 0n, (offset - 0x28) / 4);
      case 0x30:
      case 0x34:
        return half(queue?.used ?? 0n, (offset - 0x30) / 4);
      default:
        return 0;
    }
  }

  const withHalf = (value: bigint, upper: boolean, bits: number) =>
    upper ? (value & 0xffff_ffffn) | (BigInt(bits) << 32n) : (value & ~0xffff_ffffn) | BigInt(bits);

  const checkVector = (vector: number) => (vector < device.msix.count ? vector : NO_VECTOR);

  async function writeCommon(offset: number, value: number): Promise<void> {
    if (offset === 0x00) featureSelect = value;
    else if (offset === 0x08) driverFeatureSelect = value;
    else if (offset === 0x0c) {
      if (driverFeatureSelect <= 1) driverFeatures = withHalf(driverFeatures, driverFeatureSelect === 1, value);
    } else if (offset === 0x10) configVector = checkVector(value);
    else if (offset === 0x14) await writeStatus(value);
    else if (offset === 0x16) queueSelect = value;
    else writeQueue(offset, value);
  }

  function writeQueue(offset: number, value: number): void {
    const queue = queues[queueSelect];
    if (queue === undefined) return;
    if (offset === 0x1a) queue.vector = checkVector(value);
    if (queue.enabled) return;
    if (offset === 0x18 && value > 0 && value <= queueSize && Number.isInteger(Math.log2(value))) queue.size = value;
    else if (offset === 0x1c) queue.enabled = value === 1;
    else if ((offset & ~4) === 0x20) queue.descriptors = withHalf(queue.descriptors, offset === 0x24, value);
    else if ((offset & ~4) === 0x28) queue.available = withHalf(queue.available, offset === 0x2c, value);
    else if ((offset & ~4) === 0x30) queue.used = withHalf(queue.used, offset === 0x34, value);
  }

  async function writeStatus(value: number): Promise<void> {
    if (value === 0) {
      await reset();
      return;
    }
    const wasOk = (status & STATUS_FEATURES_OK) !== 0;
    status = (status & STATUS_NEEDS_RESET) | value;
    // A driver that wants what is not there, or no version 1, finds the bit cleared.
    const agreed = (driverFeatures & ~features) === 0n && (driverFeatures & VIRTIO_F_VERSION_1) !== 0n;
    if (!wasOk && !agreed) status &= ~STATUS_FEATURES_OK;
  }

  async function reset(): Promise<void> {
    await pause();
    forget();
    device.intx.deassert();
    paused = false;
  }

  const device: PciDevice = new PciDevice({
    name: kind.name,
    vendorId: VENDOR_RED_HAT,
    deviceId: FIRST_MODERN_ID + kind.type,
    classCode: kind.classCode,
    revision: 1,
    subsystemVendorId: VENDOR_RED_HAT,
    subsystemId: 0x1100,
    interrupts: { intx: true, msix: kind.queues + 1 },
    capabilities: [
      capability(CAP_COMMON, COMMON, 0x38),
      capability(CAP_ISR, ISR, 1),
      capability(CAP_DEVICE, CONFIG, kind.config.length),
      capability(CAP_NOTIFY, NOTIFY, NOTIFY_STEP * kind.queues, [NOTIFY_STEP]),
    ],
    bars: [
      {
        size: BAR_SIZE,
        read(offset, width) {
          if (offset < ISR) return readCommon(offset);
          if (offset < CONFIG) return offset === ISR ? readIsr() : 0;
          let value = 0;
          for (let i = 0; i < width; i++) value += (kind.config[offset - CONFIG + i] ?? 0) * 2 ** (8 * i);
          return value;
        },
        write(offset, value) {
          if (offset < ISR) return writeCommon(offset, value);
          if (offset >= NOTIFY) ring((offset - NOTIFY) / NOTIFY_STEP);
          return undefined;
        },
        doorbells: Array.from({ length: kind.queues }, (_, index) => ({
          offset: NOTIFY + NOTIFY_STEP * index,
          width: 2,
        })),
      },
    ],
    // What is under way may hold views of the memory that goes.
    async quiesce() {
      await pause();
      resume();
    },
    reset,
    disconnected: reset,
  });
  return device;
}
