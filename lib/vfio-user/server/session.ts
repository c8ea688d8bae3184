/**
 * One client of a device: what its messages ask for, checked and done.
 *
 * Every rule that a message can break has its errno; the numbers are libvfio-user's where the specification names none, so
 * that a client meets the same refusals everywhere.
 *
 * @module
 */
import { constants } from "node:os";
import { asError, check, type VfioError } from "../../base/errors.js";
import { OwnedFd } from "../../kernel/fd.js";
import { native } from "../../kernel/native.js";
import {
  VFIO_DEVICE_FEATURE_GET,
  VFIO_DEVICE_FEATURE_MASK,
  VFIO_DEVICE_FEATURE_PROBE,
  VFIO_DEVICE_FEATURE_SET,
  VFIO_DEVICE_FLAGS_PCI,
  VFIO_DEVICE_FLAGS_RESET,
  VFIO_IRQ_SET_DATA_EVENTFD,
  VFIO_PCI_CONFIG_REGION_INDEX,
  VFIO_PCI_REQ_IRQ_INDEX,
  VFIO_PCI_ROM_REGION_INDEX,
  VFIO_PCI_VGA_REGION_INDEX,
  VFIO_REGION_INFO_CAP_SPARSE_MMAP,
  VFIO_REGION_INFO_FLAG_CAPS,
  VFIO_REGION_INFO_FLAG_MMAP,
  VFIO_REGION_INFO_FLAG_READ,
  VFIO_REGION_INFO_FLAG_WRITE,
} from "../../kernel/uapi.js";
import { UnixSocket } from "../../kernel/unix-socket.js";
import type { AccessWidth, BarArea, DeviceBar } from "../device/bar.js";
import type { DeviceClient } from "../device/device-client.js";
import { LOG_PAGE_SIZE } from "../device/dirty-log.js";
import type { ClientRange } from "../device/dma.js";
import type { PciDevice } from "../device/pci-device.js";
import { checkPresent, settledWithin } from "../device/work.js";
import { type Answer, checkFrame, PeerConnection } from "../peer/connection.js";
import {
  CommandNumber,
  commandName,
  DMA_UNMAP_ALL,
  DMA_UNMAP_GET_DIRTY_BITMAP,
  FEATURE_DMA_LOGGING_REPORT,
  FEATURE_DMA_LOGGING_START,
  FEATURE_DMA_LOGGING_STOP,
  FEATURE_MIG_DEVICE_STATE,
  FEATURE_MIGRATION,
  HEADER_SIZE,
  IO_FD_TYPE_IOEVENTFD,
  MigrationState,
  PROTOCOL_MAJOR,
  PROTOCOL_MINOR,
  ProtocolError,
} from "../protocol/constants.js";
import type { Frame, FrameLimits } from "../protocol/framing.js";
import {
  DEVICE_INFO_SIZE,
  DMA_BITMAP_SIZE,
  DMA_UNMAP_SIZE,
  deviceFeature,
  deviceGetInfo,
  deviceGetIrqInfo,
  deviceGetRegionInfo,
  deviceGetRegionIoFds,
  deviceReset,
  deviceSetIrqs,
  dmaMap,
  dmaUnmap,
  FEATURE_SIZE,
  type FeatureMessage,
  IO_FD_SIZE,
  IO_FDS_SIZE,
  IRQ_INFO_SIZE,
  LOGGING_REPORT_SIZE,
  loggingReportFeature,
  loggingStartFeature,
  MIG_DATA_SIZE,
  migDataRead,
  migDataWrite,
  migrationFeature,
  migrationStateFeature,
  REGION_INFO_SIZE,
  RegionAccessLayout,
  type RegionData,
  regionRead,
  regionWrite,
  regionWriteMulti,
  version,
  WriteMultiLayout,
} from "../protocol/messages.js";
import { type Capabilities, defaultCapabilities, MAX_VERSION_SIZE, type Version } from "../protocol/version.js";

const { EINVAL, ENOTSUP, EPROTO, ETIMEDOUT } = constants.errno;

/** How a server treats its clients. */
export interface SessionOptions {
  /** The most bytes in one access to a region, told to the client. */
  readonly maxTransfer: number;
  /** The most descriptors with one message. QEMU refuses more than 16. */
  readonly maxFds: number;
  /** The most ranges of memory. */
  readonly maxRanges: number;
  /** Whether the files of the client's memory are mapped whatever they are. */
  readonly trusted: boolean;
  /** How long the client may take to answer, and to introduce itself, in milliseconds. */
  readonly timeout: number;
  /** How long the device may take to let go of the client, or of memory that the client takes back, in milliseconds. */
  readonly drainTimeout: number;
}

/** What a session tells the server. */
export interface SessionOwner {
  /** The device's program threw something while it answered a request. */
  fault(error: unknown, what: string): void;
  /** The device has not finished this within {@link SessionOptions.drainTimeout}. */
  overdue(work: readonly string[]): void;
  /** The connection is over, and everything of the client's is released. */
  ended(error: Error | undefined): void;
}

const REGIONS = VFIO_PCI_VGA_REGION_INDEX + 1;
const IRQS = VFIO_PCI_REQ_IRQ_INDEX + 1;
// linux/kvm.h
const KVM_IOEVENTFD_FLAG_DATAMATCH = 1;
const KVM_IOEVENTFD_FLAG_PIO = 2;
const LARGEST_CONTROL_MESSAGE = 64 * 1024;
// Of the client's memory at once. QEMU (11.1) takes a message that its socket's buffer (208 KiB) had no room for as sent, and
// goes on with the next one in the middle of it.
const MOST_BY_MESSAGE = 64 * 1024;

/** What a device that stands still answers. A reset leads out of there, whatever the state. */
const allowedWhenStopped: ReadonlySet<number> = new Set([
  CommandNumber.regionRead,
  CommandNumber.regionWrite,
  CommandNumber.deviceFeature,
  CommandNumber.migDataRead,
  CommandNumber.deviceReset,
]);

/** The commands that descriptors belong to. */
const takesDescriptors: ReadonlySet<number> = new Set([CommandNumber.dmaMap, CommandNumber.deviceSetIrqs]);

/**
 * Closes the descriptors of a request that has no use for them, before it is answered. SPDK's host sends the descriptor of
 * the memory with DMA_UNMAP too; libvfio-user and this server ignore it.
 */
function closeUnasked({ fds }: Frame): void {
  for (const fd of fds) fd.close();
}

function refuse(command: number, why: string, errno = EINVAL): ProtocolError {
  return new ProtocolError(errno, commandName(command), why);
}

/** A reply without a payload. */
function done(): Answer {
  return { message: new Uint8Array(HEADER_SIZE) };
}

/** A connection with a client. */
export class Session {
  readonly #device: PciDevice;
  readonly #options: SessionOptions;
  readonly #owner: SessionOwner;
  readonly #main: PeerConnection;
  #twin: PeerConnection | undefined;
  /** What the client told of itself. */
  #client: Capabilities | undefined;
  /** The client as the device has it, once it is introduced. */
  #served: DeviceClient | undefined;
  /** Whether {@link SessionOwner.fault} has been called for a message about memory. */
  #toldOfMessages = false;
  /** Whether the device's program was told of the client. */
  #announced = false;
  /** The last call of the device's `quiesce`. */
  #quiescing: Promise<void> | undefined;
  #introduction: NodeJS.Timeout | undefined;
  #ended = false;

  /** @param socket belongs to the session from here on */
  constructor(device: PciDevice, socket: UnixSocket, options: SessionOptions, owner: SessionOwner) {
    this.#device = device;
    this.#options = options;
    this.#owner = owner;
    this.#main = new PeerConnection(
      socket,
      { messageSize: HEADER_SIZE + MAX_VERSION_SIZE, fds: options.maxFds },
      {
        answerAtOnce: (request, at, size, reply) => {
          const answer = this.#answerAtOnce(request, at, size, reply);
          return typeof answer === "number" ? answer : this.#counted(request.getUint16(at + 2, true), answer);
        },
        answer: (frame) => {
          const answer = this.#answer(frame);
          return answer instanceof Promise ? this.#counted(frame.header.command, answer) : answer;
        },
        failed: (error, frame) => owner.fault(error, commandName(frame.header.command)),
        ended: (error) => this.#end(error),
      },
    );
  }

  /** @throws VfioError if the socket cannot be listened to. The session is of no use then, and the socket is not closed */
  start(): void {
    this.#main.start();
    this.#introduction = setTimeout(() => {
      const why = `the client has not introduced itself within ${this.#options.timeout} ms`;
      this.close(new ProtocolError(ETIMEDOUT, version.name, why));
    }, this.#options.timeout);
  }

  /** Ends the connection. */
  close(error?: Error): void {
    this.#main.close();
    this.#end(error);
  }

  #end(error: Error | undefined): void {
    if (this.#ended) return;
    this.#ended = true;
    clearTimeout(this.#introduction);
    this.#main.close();
    this.#twin?.close();
    void this.#letGo(error);
  }

  /** The connection is over; waits until the device has let go of the client. */
  async #letGo(error: Error | undefined): Promise<void> {
    try {
      // A client that was never introduced has nothing of the device, which may still let go of another one.
      if (this.#served !== undefined) await this.#disconnect(this.#served);
    } finally {
      this.#owner.ended(error);
    }
  }

  async #disconnect(served: DeviceClient): Promise<void> {
    const over = this.#device.disconnect(served, this.#announced);
    try {
      if (!(await settledWithin(over, this.#options.drainTimeout))) this.#owner.overdue(served.work.names);
    } finally {
      // Also if a listener to the event throws.
      for (const { what, error } of await over) this.#owner.fault(error, what);
    }
  }

  /** An answer that takes its time: it is waited for before the next client is served. */
  #counted(command: number, answer: Promise<Answer>): Promise<Answer> {
    return this.#served === undefined ? answer : this.#served.work.add(commandName(command), answer);
  }

  // ---- requests ----------------------------------------------------------------------------------------------------

  #answer(frame: Frame): Answer | Promise<Answer> {
    const { command } = frame.header;
    if (this.#client === undefined) return this.#introduce(frame);
    checkFrame(frame);
    if (!takesDescriptors.has(command)) closeUnasked(frame);
    const { state } = this.#device.migration;
    if ((state === "stop" || state === "stopCopy") && !allowedWhenStopped.has(command)) {
      throw refuse(command, `the device is in state ${state}`);
    }
    switch (command) {
      case CommandNumber.regionRead:
        return this.#regionRead(frame.payload);
      case CommandNumber.regionWrite:
        return this.#regionWrite(frame.payload);
      case CommandNumber.regionWriteMulti:
        return this.#regionWriteMulti(frame.payload);
      case CommandNumber.dmaMap:
        return this.#dmaMap(frame);
      case CommandNumber.dmaUnmap:
        return this.#dmaUnmap(frame.payload);
      case CommandNumber.deviceGetInfo:
        return this.#getInfo(frame.payload);
      case CommandNumber.deviceGetRegionInfo:
        return this.#getRegionInfo(frame.payload);
      case CommandNumber.deviceGetRegionIoFds:
        return this.#getRegionIoFds(frame.payload);
      case CommandNumber.deviceGetIrqInfo:
        return this.#getIrqInfo(frame.payload);
      case CommandNumber.deviceSetIrqs:
        return this.#setIrqs(frame);
      case CommandNumber.deviceReset:
        deviceReset.request.decode(frame.payload);
        return this.#device.reset().then(done);
      case CommandNumber.deviceFeature:
        return this.#feature(deviceFeature.request.decode(frame.payload));
      case CommandNumber.migDataRead:
        return this.#migDataRead(frame.payload);
      case CommandNumber.migDataWrite:
        return this.#migDataWrite(frame.payload);
      default:
        throw refuse(command, "no such command of a client");
    }
  }

  // ---- the introduction --------------------------------------------------------------------------------------------

  /** The first message. After a refusal there is nothing more to say. */
  #introduce(frame: Frame): Answer | Promise<Answer> {
    let twin: OwnedFd | undefined;
    const refused = (error: unknown): never => {
      twin?.close();
      // Behind the reply, which is still to be sent.
      setImmediate(() => this.#main.closeAfterReply(asError(error)));
      throw error;
    };
    try {
      const proposed = this.#checkVersion(frame);
      const client = { ...defaultCapabilities, ...proposed.capabilities };
      clearTimeout(this.#introduction);
      if (client.twin_socket?.supported === true && client.max_msg_fds > 0) twin = this.#openTwin();
      this.#served = this.#device.connect({
        connection: this.#twin ?? this.#main,
        maxTransfer: Math.min(client.max_data_xfer_size, MOST_BY_MESSAGE),
        timeout: this.#options.timeout,
        unanswered: (error) => this.#unanswered(error),
      });
      this.#client = client;
      this.#main.limits = this.#limits();
      const welcome = () => this.#welcome(proposed, twin);
      if (!this.#device.migration.needsReset) return welcome();
      // A client of before left it standing still: what it was about is not this one's.
      return this.#device.reset().then(welcome).catch(refused);
    } catch (error) {
      return refused(error);
    }
  }

  /** @throws ProtocolError */
  #checkVersion(frame: Frame): Version {
    const { command } = frame.header;
    checkFrame(frame);
    if (command !== CommandNumber.version) throw refuse(command, "a client introduces itself first");
    closeUnasked(frame);
    const proposed = version.request.decode(frame.payload);
    if (proposed.major !== PROTOCOL_MAJOR) throw refuse(command, `major version ${proposed.major} is not spoken here`);
    return proposed;
  }

  /** @param twin the client's end of a second socket */
  #welcome(proposed: Version, twin: OwnedFd | undefined): Answer {
    this.#announced = true;
    this.#device.options.connected?.();
    const message = version.reply.encode(this.#version(proposed, twin !== undefined));
    if (twin === undefined) return { message };
    return { message, fds: [twin.number], sent: () => twin.close() };
  }

  /** Tells of it once: the device's program may have caught it, or answered the client with it, where nobody reads it. */
  #unanswered(error: VfioError): void {
    if (this.#toldOfMessages) return;
    this.#toldOfMessages = true;
    this.#owner.fault(error, "an access to the client's memory by message");
  }

  /** The largest message: data for a region or from memory, or one of those that hold no data. */
  #limits(): FrameLimits {
    const { maxTransfer, maxFds } = this.#options;
    return { messageSize: HEADER_SIZE + Math.max(maxTransfer + 32, LARGEST_CONTROL_MESSAGE), fds: maxFds };
  }

  #version(proposed: Version, twin: boolean): Version {
    const asked = proposed.capabilities ?? {};
    const { maxFds, maxTransfer, maxRanges } = this.#options;
    // QEMU reads the reply into the memory of its request: what it did not ask about, and what is as the specification
    // has it, is left out.
    const told = <Key extends "max_msg_fds" | "max_data_xfer_size" | "max_dma_maps">(key: Key, value: number) =>
      asked[key] !== undefined || value < defaultCapabilities[key] ? { [key]: value } : {};
    const capabilities: Capabilities = {
      ...told("max_msg_fds", maxFds),
      ...told("max_data_xfer_size", maxTransfer),
      ...told("max_dma_maps", Math.min(maxRanges, asked.max_dma_maps ?? maxRanges)),
      ...(asked.pgsizes === undefined ? {} : { pgsizes: defaultCapabilities.pgsizes }),
      ...(asked.write_multiple === true ? { write_multiple: true } : {}),
      ...(twin ? { twin_socket: { supported: true, fd_index: 0 } } : {}),
    };
    return { major: PROTOCOL_MAJOR, minor: Math.min(proposed.minor, PROTOCOL_MINOR), capabilities };
  }

  /** The server's own requests then travel over a socket of their own. The client's end is returned. */
  #openTwin(): OwnedFd {
    const [ours, theirs] = UnixSocket.pair("stream");
    const end = new OwnedFd(
      check(native.dup(theirs.fd), () => ({ syscall: "dup", object: "the twin socket" })),
      "the twin socket",
    );
    theirs.close();
    this.#twin = new PeerConnection(ours, this.#limits(), {
      answer: (frame) => {
        throw refuse(frame.header.command, "a client has nothing to ask on this socket");
      },
      failed: () => {},
      // Whoever closes one of the two sockets does not mean to go on.
      ended: (error) => this.close(error ?? new ProtocolError(EPROTO, "twin socket", "the client closed it")),
    });
    this.#twin.start();
    return end;
  }

  // ---- memory ------------------------------------------------------------------------------------------------------

  #dmaMap({ payload, fds }: Frame): Answer {
    const request = dmaMap.request.decode(payload);
    if (fds.length > 1) throw refuse(CommandNumber.dmaMap, `${fds.length} descriptors came with it`);
    const { maxRanges, trusted } = this.#options;
    this.#device.dma.map(request, fds[0], { maxRanges, trusted });
    return done();
  }

  #dmaUnmap(payload: Uint8Array): Answer | Promise<Answer> {
    const request = dmaUnmap.request.decode(payload);
    // What the client has answered before it took the memory back was answered.
    this.#twin?.takeReplies();
    const { dma } = this.#device;
    const { flags, iova, size, bitmap } = request;
    if ((flags & ~(DMA_UNMAP_ALL | DMA_UNMAP_GET_DIRTY_BITMAP)) !== 0) {
      throw refuse(CommandNumber.dmaUnmap, `unknown flags 0x${flags.toString(16)}`);
    }
    if ((flags & DMA_UNMAP_ALL) !== 0) {
      if (iova !== 0n || size !== 0n || flags !== DMA_UNMAP_ALL) {
        throw refuse(CommandNumber.dmaUnmap, "everything is unmapped without an address, a size, or another flag");
      }
      return this.#quiesced(dma.ranges, () => {
        dma.unmapAll();
        return { message: dmaUnmap.reply.encode({ flags, iova, size }) };
      });
    }
    const range = dma.exactly(iova, size);
    if ((flags & DMA_UNMAP_GET_DIRTY_BITMAP) === 0) {
      return this.#quiesced([range], () => {
        dma.unmap(iova, size);
        return { message: dmaUnmap.reply.encode({ flags, iova, size }) };
      });
    }
    if (bitmap === undefined) throw refuse(CommandNumber.dmaUnmap, "it asks for a bitmap without saying which");
    const bits = this.#bitmap(CommandNumber.dmaUnmap, iova, size, bitmap.pageSize);
    if (BigInt(bits.length) > bitmap.size || request.argsz < DMA_UNMAP_SIZE + DMA_BITMAP_SIZE + bits.length) {
      throw refuse(CommandNumber.dmaUnmap, `there is no room for a bitmap of ${bits.length} bytes`);
    }
    const { pageSize } = bitmap;
    return this.#quiesced([range], () => {
      dma.log?.take(iova, size, pageSize, bits);
      dma.unmap(iova, size);
      return { message: dmaUnmap.reply.encode({ flags, iova, size, bitmap: { pageSize, bits } }) };
    });
  }

  /** Goes on once the device has let go of the ranges: at once, for one that has nothing to do for it. */
  #quiesced(ranges: readonly ClientRange[], then: () => Answer): Answer | Promise<Answer> {
    if (this.#device.options.quiesce === undefined || ranges.length === 0) return then();
    return this.#quiesce(ranges).then(then);
  }

  /** @throws VfioError ETIMEDOUT if it takes too long: then the client has the ranges mapped still, and the device may use them */
  async #quiesce(ranges: readonly ClientRange[]): Promise<void> {
    const { client, options } = this.#device;
    const before = this.#quiescing;
    const quiescing = (async () => {
      // One that took too long is not over yet.
      await before?.catch(() => {});
      checkPresent(client.signal);
      await options.quiesce?.(ranges);
    })();
    this.#quiescing = quiescing;
    client.work.add("quiesce", quiescing);
    if (!(await settledWithin(quiescing, this.#options.drainTimeout))) {
      this.#owner.overdue(["quiesce"]);
      const why = `the device has not let go of the memory within ${this.#options.drainTimeout} ms`;
      throw refuse(CommandNumber.dmaUnmap, why, ETIMEDOUT);
    }
    await quiescing;
    checkPresent(client.signal);
  }

  /** An empty bitmap for a range, of whole 64-bit words. */
  #bitmap(command: number, iova: bigint, length: bigint, pageSize: bigint): Uint8Array {
    if (this.#device.dma.log === undefined) throw refuse(command, "no log of written pages is kept");
    if (pageSize === 0n || (pageSize & (pageSize - 1n)) !== 0n || iova % pageSize !== 0n) {
      throw refuse(
        command,
        `pages of 0x${pageSize.toString(16)} bytes, which must be a power of two that the range begins at`,
      );
    }
    if (length === 0n || iova + length > 1n << 64n)
      throw refuse(command, "the range is empty, or ends behind the last address");
    const words = ((length + pageSize - 1n) / pageSize + 63n) / 64n;
    if (words * 8n > BigInt(this.#options.maxTransfer))
      throw refuse(command, "the bitmap is longer than a message may be");
    return new Uint8Array(Number(words * 8n));
  }

  // ---- information -------------------------------------------------------------------------------------------------

  #getInfo(payload: Uint8Array): Answer {
    deviceGetInfo.request.decode(payload);
    const flags = VFIO_DEVICE_FLAGS_RESET | VFIO_DEVICE_FLAGS_PCI;
    return {
      message: deviceGetInfo.reply.encode({ argsz: DEVICE_INFO_SIZE, flags, numRegions: REGIONS, numIrqs: IRQS }),
    };
  }

  #getRegionInfo(payload: Uint8Array): Answer {
    const { argsz: room, index } = deviceGetRegionInfo.request.decode(payload);
    const region = this.#region(CommandNumber.deviceGetRegionInfo, index);
    const { size, writable, bar } = region;
    const areas = bar?.areas ?? [];
    const whole = areas.length === 1 && areas[0]?.length === size;
    const capabilities = areas.length === 0 || whole ? undefined : sparseCapability(areas);
    const argsz = REGION_INFO_SIZE + (capabilities?.length ?? 0);
    let flags = size === 0 ? 0 : VFIO_REGION_INFO_FLAG_READ | (writable ? VFIO_REGION_INFO_FLAG_WRITE : 0);
    if (areas.length > 0) flags |= VFIO_REGION_INFO_FLAG_MMAP;
    const fits = room >= argsz;
    if (capabilities !== undefined && fits) flags |= VFIO_REGION_INFO_FLAG_CAPS;
    const message = deviceGetRegionInfo.answer({
      argsz,
      flags,
      index,
      size: BigInt(size),
      offset: 0n,
      capabilities: fits ? capabilities : undefined,
    });
    // Too little room: the client asks again with more, and would have to close this one.
    return bar?.fd !== undefined && fits ? { message, fds: [bar.fd] } : { message };
  }

  #getRegionIoFds(payload: Uint8Array): Answer {
    const { argsz: room, index } = deviceGetRegionIoFds.request.decode(payload);
    const { bar } = this.#region(CommandNumber.deviceGetRegionIoFds, index);
    const most = this.#client?.max_msg_fds ?? defaultCapabilities.max_msg_fds;
    const bells = bar?.doorbells.slice(0, most) ?? [];
    const argsz = IO_FDS_SIZE + bells.length * IO_FD_SIZE;
    const reply = { argsz, index, count: bells.length };
    if (bar === undefined || bells.length === 0 || room < argsz) {
      return { message: deviceGetRegionIoFds.reply.encode({ ...reply, entries: [] }) };
    }
    const name = `a doorbell of BAR ${index}`;
    const fds = bar.bellFds((write) => this.#main.inTurn(() => this.#ring(name, write)));
    const entries = bells.map(({ offset, width, value }, fdIndex) => ({
      offset: BigInt(offset),
      size: BigInt(width),
      fdIndex,
      type: IO_FD_TYPE_IOEVENTFD,
      flags:
        (value === undefined ? 0 : KVM_IOEVENTFD_FLAG_DATAMATCH) | (bar.space === "io" ? KVM_IOEVENTFD_FLAG_PIO : 0),
      data: BigInt(value ?? 0),
    }));
    return { message: deviceGetRegionIoFds.reply.encode({ ...reply, entries }), fds: fds.slice(0, bells.length) };
  }

  #ring(name: string, write: () => void | Promise<void>): void | Promise<void> {
    const failed = (error: unknown) => this.#owner.fault(error, name);
    try {
      const writing = write();
      if (writing instanceof Promise) return this.#device.client.work.add(name, writing).catch(failed);
    } catch (error) {
      failed(error);
    }
  }

  #getIrqInfo(payload: Uint8Array): Answer {
    const { index } = deviceGetIrqInfo.request.decode(payload);
    const kind = this.#device.client.interruptKind(index);
    if (kind === undefined) throw refuse(CommandNumber.deviceGetIrqInfo, `no interrupts of index ${index}`);
    const { flags, count } = kind;
    return {
      message: deviceGetIrqInfo.reply.encode({ argsz: IRQ_INFO_SIZE, flags: count > 0 ? flags : 0, index, count }),
    };
  }

  // ---- interrupts --------------------------------------------------------------------------------------------------

  #setIrqs({ payload, fds }: Frame): Answer {
    const request = deviceSetIrqs.request.decode(payload);
    const kind = this.#device.client.interruptKind(request.index);
    if (kind === undefined) throw refuse(CommandNumber.deviceSetIrqs, `no interrupts of index ${request.index}`);
    const eventfds = (request.flags & VFIO_IRQ_SET_DATA_EVENTFD) === 0 ? [] : fds;
    kind.set(request, eventfds);
    return done();
  }

  // ---- regions -----------------------------------------------------------------------------------------------------

  #region(command: number, index: number): { size: number; writable: boolean; bar: DeviceBar | undefined } {
    if (index >= REGIONS) throw refuse(command, `region ${index}, and there are ${REGIONS}`);
    if (index === VFIO_PCI_CONFIG_REGION_INDEX) {
      return { size: this.#device.config.bytes.length, writable: true, bar: undefined };
    }
    if (index === VFIO_PCI_ROM_REGION_INDEX) return { size: this.#device.rom.length, writable: false, bar: undefined };
    const bar = this.#device.findBar(index);
    return { size: bar?.size ?? 0, writable: true, bar };
  }

  /** @throws ProtocolError for an access that is not within the region. Returns the offset as a number */
  #within(command: number, size: number, offset: bigint, count: number): number {
    if (count > this.#options.maxTransfer)
      throw refuse(command, `${count} bytes, and ${this.#options.maxTransfer} are the most`);
    if (offset + BigInt(count) > BigInt(size)) {
      throw refuse(command, `0x${offset.toString(16)} and ${count} bytes are not within ${size} bytes`);
    }
    // A device that hands over its state does not change any more, and does not answer.
    if (this.#device.migration.state === "stopCopy") throw refuse(command, "the device is in state stopCopy");
    return Number(offset);
  }

  #regionRead(payload: Uint8Array): Answer | Promise<Answer> {
    const { offset, region, count } = regionRead.request.decode(payload);
    const { size, bar } = this.#region(CommandNumber.regionRead, region);
    const at = this.#within(CommandNumber.regionRead, size, offset, count);
    if (region === VFIO_PCI_CONFIG_REGION_INDEX) {
      return { message: regionRead.reply.encode({ offset, region, data: this.#device.config.read(at, count) }) };
    }
    if (bar === undefined) {
      const data = this.#device.rom.subarray(at, at + count);
      return { message: regionRead.reply.encode({ offset, region, data }) };
    }
    const data = new Uint8Array(count);
    const reading = bar.read(at, data, this.#served?.signal);
    const answer = () => ({ message: regionRead.reply.encode({ offset, region, data }) });
    return reading instanceof Promise ? reading.then(answer) : answer();
  }

  #regionWrite(payload: Uint8Array): Answer | Promise<Answer> {
    const { offset, region, data } = regionWrite.request.decode(payload);
    const writing = this.#write(CommandNumber.regionWrite, { offset, region, data });
    const answer = () => ({ message: regionWrite.reply.encode({ offset, region, count: data.length }) });
    return writing instanceof Promise ? writing.then(answer) : answer();
  }

  #write(command: number, { offset, region, data }: RegionData): void | Promise<void> {
    const { size, bar } = this.#region(command, region);
    const at = this.#within(command, size, offset, data.length);
    if (region === VFIO_PCI_CONFIG_REGION_INDEX) return this.#device.config.write(at, data);
    // A write to a ROM is no error: it changes nothing.
    return bar?.write(at, data, this.#served?.signal);
  }

  #regionWriteMulti(payload: Uint8Array): Promise<Answer> {
    const command = CommandNumber.regionWriteMulti;
    if (this.#client?.write_multiple !== true) throw refuse(command, "it was not negotiated");
    return this.#writeEach(regionWriteMulti.request.decode(payload), 0);
  }

  /**
   * Writes one after the other, up to one that is refused: the reply says how many were made.
   *
   * @param completed how many were made already
   * @param pending the one behind those, which is under way
   */
  async #writeEach(writes: readonly RegionData[], completed: number, pending?: Promise<void>): Promise<Answer> {
    let made = completed;
    let underWay = pending;
    for (const write of writes.slice(completed)) {
      if (underWay === undefined) checkPresent(this.#served?.signal);
      try {
        await (underWay ?? this.#write(CommandNumber.regionWriteMulti, write));
      } catch (error) {
        if (made === 0) throw error;
        break;
      }
      underWay = undefined;
      made++;
    }
    return { message: regionWriteMulti.reply.encode(made) };
  }

  // ---- registers, at once ------------------------------------------------------------------------------------------

  /** An access to a register of a BAR, or writes to many: most of what a client asks. Everything else is left alone. */
  #answerAtOnce(request: DataView, at: number, size: number, reply: DataView): number | Promise<Answer> {
    if (this.#client === undefined || this.#device.migration.state !== "running") return 0;
    switch (request.getUint16(at + 2, true)) {
      case CommandNumber.regionRead:
        return this.#readAtOnce(request, at, size, reply);
      case CommandNumber.regionWrite:
        return this.#writeAtOnce(request, at, size, reply);
      case CommandNumber.regionWriteMulti:
        return this.#writeMultiAtOnce(request, at, size, reply);
      default:
        return 0;
    }
  }

  #readAtOnce(request: DataView, at: number, size: number, reply: DataView): number | Promise<Answer> {
    const { offset: offsetAt, offsetHigh, region: regionAt, count: countAt, data: dataAt } = RegionAccessLayout;
    if (size !== dataAt || request.getUint32(at + offsetHigh, true) !== 0) return 0;
    const offset = request.getUint32(at + offsetAt, true);
    const region = request.getUint32(at + regionAt, true);
    const count = request.getUint32(at + countAt, true);
    const bar = this.#device.findBar(region);
    if (!isWidth(count) || count > this.#options.maxTransfer || bar?.isRegister("read", offset, count) !== true)
      return 0;
    const reading = bar.readRegister(offset, count, reply, dataAt);
    if (reading !== undefined) {
      // Nothing else is answered before it: the value is still there.
      return reading.then(() => {
        const data = new Uint8Array(count);
        for (let i = 0; i < count; i++) data[i] = reply.getUint8(dataAt + i);
        return { message: regionRead.reply.encode({ offset: BigInt(offset), region, data }) };
      });
    }
    writeAccess(reply, offset, region, count);
    return dataAt + count;
  }

  #writeAtOnce(request: DataView, at: number, size: number, reply: DataView): number | Promise<Answer> {
    const { offset: offsetAt, offsetHigh, region: regionAt, count: countAt, data: dataAt } = RegionAccessLayout;
    if (size <= dataAt || request.getUint32(at + offsetHigh, true) !== 0) return 0;
    const offset = request.getUint32(at + offsetAt, true);
    const region = request.getUint32(at + regionAt, true);
    const count = request.getUint32(at + countAt, true);
    const bar = this.#device.findBar(region);
    if (size !== dataAt + count || !isWidth(count) || count > this.#options.maxTransfer) return 0;
    if (bar?.isRegister("write", offset, count) !== true) return 0;
    const writing = bar.writeRegister(offset, count, request, at + dataAt);
    if (writing instanceof Promise) {
      return writing.then(() => ({ message: regionWrite.reply.encode({ offset: BigInt(offset), region, count }) }));
    }
    writeAccess(reply, offset, region, count);
    return dataAt;
  }

  #writeMultiAtOnce(request: DataView, at: number, size: number, reply: DataView): number | Promise<Answer> {
    const layout = WriteMultiLayout;
    if (this.#client?.write_multiple !== true || size <= layout.first) return 0;
    const count = request.getUint32(at + layout.count, true);
    if (request.getUint32(at + layout.countHigh, true) !== 0 || size !== layout.first + count * layout.size) return 0;
    // All of them first: what is left to others must not have begun.
    for (let i = 0; i < count; i++) {
      const write = at + layout.first + i * layout.size;
      const width = request.getUint32(write + layout.width, true);
      const bar = this.#device.findBar(request.getUint32(write + layout.region, true));
      if (request.getUint32(write + layout.offsetHigh, true) !== 0 || !isWidth(width)) return 0;
      const offset = request.getUint32(write + layout.offset, true);
      if (width > this.#options.maxTransfer || bar?.isRegister("write", offset, width) !== true) return 0;
    }
    let made = 0;
    for (; made < count; made++) {
      const write = at + layout.first + made * layout.size;
      const width = request.getUint32(write + layout.width, true);
      const bar = this.#device.findBar(request.getUint32(write + layout.region, true));
      if (!isWidth(width)) break;
      try {
        const offset = request.getUint32(write + layout.offset, true);
        const writing = bar?.writeRegister(offset, width, request, write + layout.data);
        if (writing instanceof Promise) {
          const payload = new Uint8Array(request.buffer, at + HEADER_SIZE, size - HEADER_SIZE).slice();
          return this.#writeEach(regionWriteMulti.request.decode(payload), made, writing);
        }
      } catch (error) {
        if (made === 0) throw error;
        break;
      }
    }
    reply.setUint32(layout.count, made, true);
    reply.setUint32(layout.countHigh, 0, true);
    return layout.first;
  }

  // ---- features ----------------------------------------------------------------------------------------------------

  #feature(request: FeatureMessage): Answer | Promise<Answer> {
    const command = CommandNumber.deviceFeature;
    const { flags, data } = request;
    const get = (flags & VFIO_DEVICE_FEATURE_GET) !== 0;
    const set = (flags & VFIO_DEVICE_FEATURE_SET) !== 0;
    const probe = (flags & VFIO_DEVICE_FEATURE_PROBE) !== 0;
    const known =
      VFIO_DEVICE_FEATURE_MASK | VFIO_DEVICE_FEATURE_GET | VFIO_DEVICE_FEATURE_SET | VFIO_DEVICE_FEATURE_PROBE;
    if ((flags & ~known) !== 0 || (!probe && get === set)) throw refuse(command, `flags 0x${flags.toString(16)}`);
    const feature = this.#features().get(flags & VFIO_DEVICE_FEATURE_MASK);
    if (feature === undefined) throw refuse(command, `no feature ${flags & VFIO_DEVICE_FEATURE_MASK}`, ENOTSUP);
    if ((get && feature.get === undefined) || (set && feature.set === undefined)) {
      throw refuse(command, `feature ${flags & VFIO_DEVICE_FEATURE_MASK} cannot be ${get ? "got" : "set"}`);
    }
    const reply = (answer: Uint8Array, argsz = FEATURE_SIZE + answer.length): Answer => ({
      message: deviceFeature.reply.encode({ argsz, flags, data: answer }),
    });
    if (probe) return reply(data.slice());
    if (feature.get !== undefined && get) {
      const answer = feature.get(data, request.argsz - FEATURE_SIZE);
      const argsz = FEATURE_SIZE + answer.length;
      // Too little room: what it takes, and no data.
      return reply(request.argsz < argsz ? answer.subarray(0, 0) : answer, argsz);
    }
    const setting = feature.set?.(data);
    if (setting instanceof Promise) return setting.then((answer) => reply(answer));
    return reply(setting ?? data.slice());
  }

  #features(): ReadonlyMap<number, Feature> {
    const { client, dma, migration } = this.#device;
    const features = new Map<number, Feature>([
      [FEATURE_DMA_LOGGING_START, { set: (data) => this.#startLogging(data) }],
      [
        FEATURE_DMA_LOGGING_STOP,
        {
          set: (data) => {
            dma.stopLog();
            return data.slice();
          },
        },
      ],
      [FEATURE_DMA_LOGGING_REPORT, { get: (data, room) => this.#reportLogging(data, room) }],
    ]);
    if (migration.flags === 0) return features;
    features.set(FEATURE_MIGRATION, { get: () => migrationFeature.encode(BigInt(migration.flags)) });
    features.set(FEATURE_MIG_DEVICE_STATE, {
      get: () => migrationStateFeature.encode(MigrationState[migration.state]),
      set: async (data) => {
        await migration.change(migrationStateFeature.decode(data), client.signal);
        return data.slice();
      },
    });
    return features;
  }

  #startLogging(data: Uint8Array): Uint8Array {
    const { pageSize, ranges } = loggingStartFeature.decode(data);
    if (pageSize === 0n || (pageSize & (pageSize - 1n)) !== 0n) {
      throw refuse(CommandNumber.deviceFeature, `pages of 0x${pageSize.toString(16)} bytes: not a power of two`);
    }
    for (const { iova, length } of ranges) {
      if (length === 0n || iova + length > 1n << 64n) throw refuse(CommandNumber.deviceFeature, "a range that is none");
    }
    if (this.#device.dma.log !== undefined) throw refuse(CommandNumber.deviceFeature, "a log is kept already");
    // More than the ranges is logged: what is not asked for is not reported.
    this.#device.dma.startLog();
    return loggingStartFeature.encode({ pageSize: pageSize < LOG_PAGE_SIZE ? LOG_PAGE_SIZE : pageSize, ranges });
  }

  #reportLogging(data: Uint8Array, room: number): Uint8Array {
    const { iova, length, pageSize } = loggingReportFeature.decode(data);
    if (data.length !== LOGGING_REPORT_SIZE) throw refuse(CommandNumber.deviceFeature, `${data.length} bytes of data`);
    const bitmap = this.#bitmap(CommandNumber.deviceFeature, iova, length, pageSize);
    // What was reported is forgotten: not before there is room for it.
    const fits = room >= LOGGING_REPORT_SIZE + bitmap.length;
    if (fits) this.#device.dma.log?.take(iova, length, pageSize, bitmap);
    return loggingReportFeature.encode({ iova, length, pageSize, bitmap });
  }

  // ---- migration data ----------------------------------------------------------------------------------------------

  #migDataRead(payload: Uint8Array): Answer {
    const size = migDataRead.request.decode(payload);
    this.#checkMigData(CommandNumber.migDataRead, size);
    return { message: migDataRead.reply.encode(this.#device.migration.read(size)) };
  }

  #migDataWrite(payload: Uint8Array): Answer {
    const data = migDataWrite.request.decode(payload);
    this.#checkMigData(CommandNumber.migDataWrite, data.length);
    if (data.length !== payload.length - MIG_DATA_SIZE)
      throw refuse(CommandNumber.migDataWrite, "it carries more than it says");
    this.#device.migration.write(data);
    return done();
  }

  #checkMigData(command: number, size: number): void {
    const most = Math.min(this.#options.maxTransfer, this.#client?.max_data_xfer_size ?? this.#options.maxTransfer);
    if (size > most) throw refuse(command, `${size} bytes, and ${most} are the most`);
  }
}

function isWidth(count: number): count is AccessWidth | 8 {
  return count === 4 || count === 8 || count === 1 || count === 2;
}

/** What the reply to an access says of it. */
function writeAccess(reply: DataView, offset: number, region: number, count: number): void {
  reply.setUint32(RegionAccessLayout.offset, offset, true);
  reply.setUint32(RegionAccessLayout.offsetHigh, 0, true);
  reply.setUint32(RegionAccessLayout.region, region, true);
  reply.setUint32(RegionAccessLayout.count, count, true);
}

interface Feature {
  /** @param room how many bytes of an answer the client takes */
  readonly get?: (data: Uint8Array, room: number) => Uint8Array;
  readonly set?: (data: Uint8Array) => Uint8Array | Promise<Uint8Array>;
}

/** `VFIO_REGION_INFO_CAP_SPARSE_MMAP` */
function sparseCapability(areas: readonly BarArea[]): Uint8Array {
  const bytes = new Uint8Array(16 + 16 * areas.length);
  const view = new DataView(bytes.buffer);
  view.setUint16(0, VFIO_REGION_INFO_CAP_SPARSE_MMAP, true);
  view.setUint16(2, 1, true);
  view.setUint32(8, areas.length, true);
  for (const [i, { offset, length }] of areas.entries()) {
    view.setBigUint64(16 + 16 * i, BigInt(offset), true);
    view.setBigUint64(24 + 16 * i, BigInt(length), true);
  }
  return bytes;
}
