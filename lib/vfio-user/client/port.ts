/**
 * A device at the other end of a vfio-user connection, under the requests of `linux/vfio.h`.
 *
 * @module
 */
import { fstatSync } from "node:fs";
import { constants } from "node:os";
import type { DevicePort, PortRegion, RegionFile, WhyUnmappable } from "../../device/port.js";
import { isBar, parseRegionInfo } from "../../device/region-info.js";
import type { ProgramStep } from "../../device/registers.js";
import { growingInfo } from "../../kernel/enough-room.js";
import type { OwnedFd } from "../../kernel/fd.js";
import type { RawDeviceInfo, RawIrqInfo, RawRegionInfo } from "../../kernel/native.js";
import {
  VFIO_DEVICE_FEATURE_GET,
  VFIO_DEVICE_FLAGS_PCI,
  VFIO_IRQ_SET_DATA_EVENTFD,
  VFIO_PCI_CONFIG_REGION_INDEX,
  VFIO_REGION_INFO_FLAG_MMAP,
} from "../../kernel/uapi.js";
import { cannotFault } from "../../memory/memory-file.js";
import { HEADER_SIZE, ProtocolError } from "../protocol/constants.js";
import {
  DEVICE_INFO_SIZE,
  deviceFeature,
  deviceGetInfo,
  deviceGetIrqInfo,
  deviceGetRegionInfo,
  deviceReset,
  deviceSetIrqs,
  FEATURE_SIZE,
  IRQ_INFO_SIZE,
  type RegionAccess,
  RegionAccessLayout,
  type RegionInfoReply,
  regionRead,
  regionWrite,
  regionWriteMulti,
  WriteMultiLayout,
} from "../protocol/messages.js";
import type { ClientConnection, Outcome } from "./connection.js";
import type { PortState } from "./state.js";

const { EINVAL, EIO, ENOTTY, EPROTO } = constants.errno;

// QEMU believes no server that says it has more.
const MOST_REGIONS = 100;
const MOST_IRQS = 50;
// Room for the capabilities of any region that there is: asked with it, a server answers with everything at once.
const REGION_INFO_ROOM = 1024;
// One message takes so many writes of QEMU's.
const MOST_WRITES = 200;

// The widest register: its message is written and read in place.
const MOST_IN_PLACE = 8;

// linux/pci_regs.h: PCI_BASE_ADDRESS_0, and its bit that says "I/O ports"
const CONFIG_BAR0 = 0x10;
const BAR_IS_IO = 1;

const noBytes = new Uint8Array(0);

const UNTRUSTED: WhyUnmappable = {
  why: "the server could cut or empty its file (no memfd sealed with F_SEAL_SHRINK, or one of huge pages), which would end this process with SIGBUS",
  fix: "pass trustServer: true to openContainer() if you trust the server, or use the region's own read and write methods, which work without a mapping",
};

/** How far a client goes with its server. */
export interface PortOptions {
  /**
   * Whether writes to the device's memory are sent without waiting for an answer, as a processor's are. Where one of the device's
   * regions can be mapped they are not: a write through a mapping could overtake them.
   */
  readonly postedWrites: boolean;
  /** Whether a region's file is mapped although the server could cut or empty it, which would end this process with SIGBUS. */
  readonly trustServer: boolean;
}

/** What the server has said of a region. */
interface KnownRegion {
  /** Or the `-errno` that it has refused it with. */
  readonly raw: RawRegionInfo | number;
  readonly file: OwnedFd | undefined;
  /** Why nothing of it is mapped, although the server offers it. */
  readonly unmappable?: WhyUnmappable;
}

function errnoOf<Reply>(outcome: Exclude<Outcome<Reply>, { ok: true }>): number {
  return -outcome.errno;
}

/** Gives what a server has read to whoever asked for it. */
function takeData(data: Uint8Array, bytes: Uint8Array, count: number): number {
  if (data.length > count) {
    throw new ProtocolError(EPROTO, regionRead.name, `${data.length} bytes came, and ${count} were asked for`);
  }
  bytes.set(data);
  return data.length;
}

/** How many bytes of a write a server has taken: all of them, if it does not say. */
function written(reply: RegionAccess | undefined, count: number): number {
  return Math.min(reply?.count ?? count, count);
}

/** How many writes follow each other from a step on, as many as one message takes. */
function writesFrom(steps: readonly ProgramStep[], from: number): number {
  let count = 0;
  while (count < MOST_WRITES && steps[from + count]?.write === true) count++;
  return count;
}

/**
 * What a server says does not change: it is asked once, and its answer is remembered. A refusal may pass: the server is asked again,
 * and the refusal stands only where it cannot be asked.
 */
export class UserPort implements DevicePort {
  readonly calls = { request: "vfio-user", read: "VFIO_USER_REGION_READ", write: "VFIO_USER_REGION_WRITE" };
  readonly #connection: ClientConnection;
  readonly #options: PortOptions;
  #info: RawDeviceInfo | undefined;
  readonly #regions = new Map<number, KnownRegion>();
  readonly #irqs = new Map<number, RawIrqInfo | number>();
  #posted: readonly boolean[] | undefined;

  /** @param connection belongs to the port from here on */
  constructor(connection: ClientConnection, options: PortOptions) {
    this.#connection = connection;
    this.#options = options;
  }

  /**
   * Goes on with what another process was told. Nothing is asked.
   *
   * @param connection belongs to the port from here on, and so do the descriptors
   * @throws ProtocolError for a region's file that an access could end this process by
   */
  static inherit(connection: ClientConnection, options: PortOptions, state: PortState<OwnedFd>): UserPort {
    const port = new UserPort(connection, options);
    const { flags, numRegions, numIrqs, posted } = state;
    port.#info = { argsz: DEVICE_INFO_SIZE, flags, numRegions, numIrqs, capOffset: 0, bytes: noBytes };
    for (const { index, status, file, ...rest } of state.regions) {
      const raw = { argsz: rest.bytes.length, index, ...rest };
      // Looked at again: whoever said it is another process.
      const unmappable = file === undefined ? undefined : port.#whyUnusable(file, raw);
      if (unmappable !== undefined) {
        const why = `the file of region ${index} cannot be mapped: ${unmappable.why}`;
        throw new ProtocolError(EPROTO, deviceGetRegionInfo.name, why);
      }
      port.#regions.set(index, { raw: status < 0 ? status : raw, file });
    }
    for (const { index, status, ...raw } of state.irqs) {
      port.#irqs.set(index, status < 0 ? status : { argsz: IRQ_INFO_SIZE, ...raw, bytes: noBytes });
    }
    port.#posted = posted;
    return port;
  }

  /**
   * All that a successor must know, asked for where it is not known yet. The descriptors are borrowed.
   *
   * @throws VfioError
   */
  readState(): PortState<number> {
    const info = this.getInfo();
    if (typeof info === "number") throw new ProtocolError(info, deviceGetInfo.name, "it does not tell what it is");
    const { flags, numRegions, numIrqs } = info;
    const regions = Array.from({ length: numRegions }, (_, index) => {
      const raw = this.#wholeRegionInfo(index);
      const file = this.#regions.get(index)?.file?.number;
      if (typeof raw !== "number") {
        const { flags, size, offset, capOffset, bytes } = raw;
        return { index, status: 0, flags, size, offset, capOffset, bytes, file };
      }
      return { index, status: raw, flags: 0, size: 0n, offset: 0n, capOffset: 0, bytes: noBytes, file };
    });
    const irqs = Array.from({ length: numIrqs }, (_, index) => {
      const raw = this.getIrqInfo(index);
      if (typeof raw === "number") return { index, status: raw, flags: 0, count: 0 };
      return { index, status: 0, flags: raw.flags, count: raw.count };
    });
    this.#posted ??= this.#options.postedWrites ? this.#findPosted() : [];
    return { flags, numRegions, numIrqs, regions, irqs, posted: this.#posted?.slice(0, numRegions) ?? [] };
  }

  #wholeRegionInfo(index: number): RawRegionInfo | number {
    const about = { syscall: this.calls.request, request: deviceGetRegionInfo.name, object: this.#connection.label };
    return growingInfo(REGION_INFO_ROOM, (argsz) => this.getRegionInfo(index, argsz), about);
  }

  get fd(): number {
    return this.#connection.fd;
  }

  // ---- information -------------------------------------------------------------------------------------------------

  getInfo(): RawDeviceInfo | number {
    if (this.#info !== undefined) return this.#info;
    const outcome = this.#connection.call(deviceGetInfo, { argsz: DEVICE_INFO_SIZE });
    if (!outcome.ok) return errnoOf(outcome);
    const { flags, numRegions, numIrqs } = outcome.value;
    if (numRegions > MOST_REGIONS || numIrqs > MOST_IRQS) {
      throw new ProtocolError(EPROTO, deviceGetInfo.name, `${numRegions} regions and ${numIrqs} kinds of interrupt`);
    }
    this.#info = { argsz: DEVICE_INFO_SIZE, flags, numRegions, numIrqs, capOffset: 0, bytes: noBytes };
    return this.#info;
  }

  getRegionInfo(index: number, argsz: number): RawRegionInfo | number {
    const known = this.#regions.get(index);
    if (known !== undefined && this.#stands(known.raw)) return known.raw;
    const room = Math.max(argsz, REGION_INFO_ROOM);
    const outcome = this.#connection.call(
      deviceGetRegionInfo,
      { argsz: room, index },
      { room: Number.POSITIVE_INFINITY },
    );
    if (!outcome.ok) {
      this.#regions.set(index, { raw: errnoOf(outcome), file: undefined });
      return errnoOf(outcome);
    }
    const { value, fds } = outcome;
    const [file, ...others] = fds;
    for (const other of others) other.close();
    // The answer needs more room, and comes again with it: a descriptor that came early would come twice.
    if (value.argsz > room) {
      file?.close();
      return value;
    }
    let unmappable: WhyUnmappable | undefined;
    try {
      unmappable = this.#whyUnusable(file, value);
    } catch (error) {
      file?.close();
      throw error;
    }
    if (unmappable === undefined) {
      this.#regions.set(index, { raw: value, file });
      // A write through a mapping could overtake a posted one, also where the region was refused before.
      this.#posted = [];
      return value;
    }
    file?.close();
    // Without a file that can be used there is nothing to map, whatever the server says.
    const raw = { ...value, flags: (value.flags & ~VFIO_REGION_INFO_FLAG_MMAP) >>> 0 };
    this.#regions.set(index, { raw, file: undefined, unmappable });
    return raw;
  }

  #stands(known: object | number): boolean {
    return typeof known !== "number" || !this.#connection.askable;
  }

  /** Why the region's file cannot be mapped as far as the region goes, or why an access to it could end this process. */
  #whyUnusable(file: OwnedFd | undefined, raw: RegionInfoReply): WhyUnmappable | undefined {
    if ((raw.flags & VFIO_REGION_INFO_FLAG_MMAP) === 0) return { why: "the server does not let it be mapped" };
    if (file === undefined) return { why: "the server says that it can be mapped, and has sent no file of it" };
    const stat = fstatSync(file.number, { bigint: true });
    const { mappableAreas } = parseRegionInfo(raw.index, raw, `region ${raw.index} of ${this.#connection.label}`);
    const end = raw.offset + BigInt(Math.max(0, ...mappableAreas.map((area) => area.offset + area.length)));
    if (stat.isFile() && end > stat.size) {
      return { why: `the file that the server has sent of it has ${stat.size} bytes, and should have ${end}` };
    }
    return this.#options.trustServer || cannotFault(file.number) ? undefined : UNTRUSTED;
  }

  whyUnmappable(index: number): WhyUnmappable {
    return this.#regions.get(index)?.unmappable ?? { why: "the server does not let it be mapped" };
  }

  getIrqInfo(index: number): RawIrqInfo | number {
    const known = this.#irqs.get(index);
    if (known !== undefined && this.#stands(known)) return known;
    const outcome = this.#connection.call(deviceGetIrqInfo, { argsz: IRQ_INFO_SIZE, index });
    const raw = outcome.ok
      ? { argsz: IRQ_INFO_SIZE, flags: outcome.value.flags, count: outcome.value.count, bytes: noBytes }
      : errnoOf(outcome);
    this.#irqs.set(index, raw);
    return raw;
  }

  // ---- interrupts --------------------------------------------------------------------------------------------------

  setIrqs(flags: number, index: number, start: number, count: number, data?: Int32Array | Uint8Array): number {
    if ((flags & VFIO_IRQ_SET_DATA_EVENTFD) === 0) {
      // What is switched off needs no server: it is gone, and signals nothing any more.
      if (count === 0 && this.#connection.over) return 0;
      const bytes = data instanceof Uint8Array ? data : noBytes;
      const outcome = this.#connection.call(deviceSetIrqs, { flags, index, start, count, data: bytes });
      return outcome.ok ? 0 : errnoOf(outcome);
    }
    const eventfds = data instanceof Int32Array ? data : new Int32Array(0);
    if (eventfds.every((eventfd) => eventfd < 0) && this.#connection.over) return 0;
    const { maxFds } = this.#connection.agreement;
    if (maxFds === 0) return -ENOTTY;
    // A message has a descriptor for each of its interrupts, or none, which takes theirs away.
    for (let at = 0; at < eventfds.length; ) {
      const given = (eventfds[at] ?? -1) >= 0;
      let end = at + 1;
      while (end < eventfds.length && (eventfds[end] ?? -1) >= 0 === given && end - at < maxFds) end++;
      const fds = given ? [...eventfds.subarray(at, end)] : [];
      const request = { flags, index, start: start + at, count: end - at, data: noBytes };
      const outcome = this.#connection.call(deviceSetIrqs, request, { fds });
      if (!outcome.ok) {
        this.#takeBack(flags, index, start, at);
        return errnoOf(outcome);
      }
      at = end;
    }
    return 0;
  }

  /** The kernel sets all eventfds of a request, or none: those that were set are taken away again. */
  #takeBack(flags: number, index: number, start: number, count: number): void {
    if (count === 0) return;
    this.#connection.call(deviceSetIrqs, { flags, index, start, count, data: noBytes });
  }

  // ---- regions -----------------------------------------------------------------------------------------------------

  read({ index }: PortRegion, offset: number, bytes: Uint8Array): number {
    const count = Math.min(bytes.length, this.#connection.agreement.maxTransfer);
    if (count <= MOST_IN_PLACE) return this.#readInPlace(index, offset, bytes, count);
    const outcome = this.#connection.call(regionRead, { region: index, offset: BigInt(offset), count });
    return outcome.ok ? takeData(outcome.value.data, bytes, count) : errnoOf(outcome);
  }

  #readInPlace(index: number, offset: number, bytes: Uint8Array, count: number): number {
    const connection = this.#connection;
    this.#placeAccess(index, offset, count);
    const answer = connection.exchange(regionRead, RegionAccessLayout.data);
    if (typeof answer !== "number") return answer.ok ? takeData(answer.value.data, bytes, count) : errnoOf(answer);
    const { reply } = connection;
    const length = answer - RegionAccessLayout.data;
    // What does not fit together is for the decoder to say.
    if (length < 0 || length > count || reply.getUint32(RegionAccessLayout.count, true) !== length) {
      const payload = new Uint8Array(reply.buffer, HEADER_SIZE, answer - HEADER_SIZE);
      return takeData(regionRead.reply.decode(payload).data, bytes, count);
    }
    for (let i = 0; i < length; i++) bytes[i] = reply.getUint8(RegionAccessLayout.data + i);
    return length;
  }

  write({ index }: PortRegion, offset: number, bytes: Uint8Array): number {
    const count = Math.min(bytes.length, this.#connection.agreement.maxTransfer);
    if (count <= MOST_IN_PLACE) return this.#writeInPlace(index, offset, bytes, count);
    const request = { region: index, offset: BigInt(offset), data: bytes.subarray(0, count) };
    if (this.#isPosted(index)) {
      this.#connection.post(regionWrite, request);
      return count;
    }
    const outcome = this.#connection.call(regionWrite, request);
    return outcome.ok ? written(outcome.value, count) : errnoOf(outcome);
  }

  #writeInPlace(index: number, offset: number, bytes: Uint8Array, count: number): number {
    const connection = this.#connection;
    const { data } = RegionAccessLayout;
    // Before the message is written: it may be asked for.
    const posted = this.#isPosted(index);
    this.#placeAccess(index, offset, count);
    for (let i = 0; i < count; i++) connection.request.setUint8(data + i, bytes[i] ?? 0);
    if (posted) {
      connection.postInPlace(regionWrite, data + count);
      return count;
    }
    const answer = connection.exchange(regionWrite, data + count);
    if (typeof answer !== "number") return answer.ok ? written(answer.value, count) : errnoOf(answer);
    const { reply } = connection;
    if (answer >= data) return Math.min(reply.getUint32(RegionAccessLayout.count, true), count);
    return written(regionWrite.reply.decode(new Uint8Array(reply.buffer, HEADER_SIZE, answer - HEADER_SIZE)), count);
  }

  #placeAccess(index: number, offset: number, count: number): void {
    const { request } = this.#connection;
    request.setUint32(RegionAccessLayout.offset, offset, true);
    request.setUint32(RegionAccessLayout.offsetHigh, offset / 2 ** 32, true);
    request.setUint32(RegionAccessLayout.region, index, true);
    request.setUint32(RegionAccessLayout.count, count, true);
  }

  /** Whether writes to a region are sent without waiting for an answer: to memory, of a device of which nothing can be mapped. */
  #isPosted(index: number): boolean {
    if (!this.#options.postedWrites || !isBar(index)) return false;
    this.#posted ??= this.#findPosted();
    return this.#posted?.[index] === true;
  }

  /** Undefined if the server refuses what must be known for it. */
  #findPosted(): readonly boolean[] | undefined {
    const info = this.getInfo();
    if (typeof info === "number") return undefined;
    if ((info.flags & VFIO_DEVICE_FLAGS_PCI) === 0) return [];
    for (let index = 0; index < info.numRegions; index++) {
      const region = this.getRegionInfo(index, REGION_INFO_ROOM);
      if (typeof region !== "number" && (region.flags & VFIO_REGION_INFO_FLAG_MMAP) !== 0) return [];
    }
    const registers = new Uint8Array(24);
    const config = { index: VFIO_PCI_CONFIG_REGION_INDEX, fileOffset: 0n };
    if (this.read(config, CONFIG_BAR0, registers) !== registers.length) return undefined;
    return Array.from({ length: 6 }, (_, index) => ((registers[4 * index] ?? 0) & BAR_IS_IO) === 0);
  }

  run(
    region: PortRegion,
    steps: readonly ProgramStep[],
    answer: (index: number, value: bigint) => void,
  ): { done: number; status: number } {
    const bytes = new Uint8Array(8);
    const view = new DataView(bytes.buffer);
    for (let at = 0; at < steps.length; ) {
      const step = steps[at];
      if (step === undefined) break;
      const writes = step.write && this.#connection.agreement.writeMultiple ? writesFrom(steps, at) : 0;
      if (writes > 1) {
        const { done, status } = this.#writeMany(region, steps, at, writes);
        at += done;
        if (done < writes) return { done: at, status };
        continue;
      }
      view.setBigUint64(0, step.write ? step.value : 0n, true);
      const part = bytes.subarray(0, step.width);
      const status = step.write ? this.write(region, step.offset, part) : this.read(region, step.offset, part);
      if (status !== step.width) return { done: at, status };
      if (!step.write) answer(at, view.getBigUint64(0, true));
      at++;
    }
    return { done: steps.length, status: 0 };
  }

  #writeMany(
    { index }: PortRegion,
    steps: readonly ProgramStep[],
    from: number,
    count: number,
  ): { done: number; status: number } {
    const connection = this.#connection;
    const layout = WriteMultiLayout;
    // Before the message is written: it may be asked for.
    const posted = this.#isPosted(index);
    const { request } = connection;
    request.setUint32(layout.count, count, true);
    request.setUint32(layout.countHigh, 0, true);
    for (let i = 0; i < count; i++) {
      const step = steps[from + i];
      if (step === undefined) break;
      const at = layout.first + i * layout.size;
      request.setUint32(at + layout.offset, step.offset, true);
      request.setUint32(at + layout.offsetHigh, step.offset / 2 ** 32, true);
      request.setUint32(at + layout.region, index, true);
      request.setUint32(at + layout.width, step.width, true);
      request.setBigUint64(at + layout.data, step.write ? step.value : 0n, true);
    }
    const size = layout.first + count * layout.size;
    if (posted) {
      connection.postInPlace(regionWriteMulti, size);
      return { done: count, status: 0 };
    }
    const answer = connection.exchange(regionWriteMulti, size);
    if (typeof answer !== "number") {
      if (!answer.ok) return { done: 0, status: errnoOf(answer) };
      return { done: Math.min(answer.value ?? count, count), status: -EIO };
    }
    const payload = new Uint8Array(connection.reply.buffer, HEADER_SIZE, answer - HEADER_SIZE);
    return { done: Math.min(regionWriteMulti.reply.decode(payload) ?? count, count), status: -EIO };
  }

  regionFile(region: PortRegion): RegionFile | number {
    return this.sharedFile(region) ?? -EINVAL;
  }

  sharedFile({ index, fileOffset }: PortRegion): RegionFile | undefined {
    const file = this.#regions.get(index)?.file;
    return file === undefined ? undefined : { fd: file.number, offset: fileOffset };
  }

  // ---- the rest ----------------------------------------------------------------------------------------------------

  feature(flags: number, data: Uint8Array = noBytes): number {
    const room = FEATURE_SIZE + data.length;
    const outcome = this.#connection.call(deviceFeature, { argsz: room, flags, data });
    if (!outcome.ok) return errnoOf(outcome);
    if (data.length === 0) return 0;
    const { argsz, data: answer } = outcome.value;
    const get = (flags & VFIO_DEVICE_FEATURE_GET) !== 0;
    if (answer.length > data.length) {
      throw new ProtocolError(EPROTO, deviceFeature.name, `${answer.length} bytes came for ${data.length}`);
    }
    // The data has no room for the answer. The server reports the size that it needs, and the kernel refuses.
    if (get && argsz > room) return -EINVAL;
    if (get && answer.length === 0) throw new ProtocolError(EPROTO, deviceFeature.name, "no data came");
    data.set(answer);
    return 0;
  }

  /** A number in a server's answer is no descriptor of this process. */
  adoptAnsweredFd(): undefined {
    return undefined;
  }

  reset(): number {
    const outcome = this.#connection.call(deviceReset, undefined);
    return outcome.ok ? 0 : errnoOf(outcome);
  }

  async resetAsync(): Promise<number> {
    const outcome = await this.#connection.callAsync(deviceReset, undefined);
    return outcome.ok ? 0 : errnoOf(outcome);
  }

  /** There is neither a slot nor a bus. */
  hotResetInfo(): number {
    return -ENOTTY;
  }

  hotReset(): number {
    return -ENOTTY;
  }

  ioeventfd(): number {
    return -ENOTTY;
  }

  close(): void {
    this.#connection.close();
    for (const { file } of this.#regions.values()) file?.close();
    this.#regions.clear();
  }
}
