/**
 * A driver for Intel's 82576 network controller (QEMU's `igb`), used as a DMA engine: it copies memory by sending frames to
 * itself.
 *
 * The names in quotation marks are sections of Intel's 82576 datasheet.
 */
import { setTimeout as sleep, setImmediate as yieldToOthers } from "node:timers/promises";
import { type Container, type Device, DmaBuffer, type DmaMapping, type Interrupt, type Registers } from "vfio";

// "Register Summary": general, interrupts, receive and transmit. Of the queues only the first is used.
const CTRL = 0x0000;
const STATUS = 0x0008;
const CTRL_EXT = 0x0018;
const MDIC = 0x0020;
const IMC = 0x00d8;
const RCTL = 0x0100;
const TCTL = 0x0400;
const GPIE = 0x1514;
const EICS = 0x1520;
const EIMS = 0x1524;
const EIMC = 0x1528;
const EIAC = 0x152c;
const EITR0 = 0x1680;
const EITR1 = 0x1684;
const IVAR0 = 0x1700;
const GCR = 0x5b00;
const RDBAL = 0xc000;
const RDBAH = 0xc004;
const RDLEN = 0xc008;
const SRRCTL = 0xc00c;
const RDT = 0xc018;
const RXDCTL = 0xc028;
const TDBAL = 0xe000;
const TDBAH = 0xe004;
const TDLEN = 0xe008;
const TDT = 0xe018;
const TXDCTL = 0xe028;

const CTRL_FULL_DUPLEX = 1 << 0;
const CTRL_SET_LINK_UP = 1 << 6;
const CTRL_SPEED = 3 << 8;
const CTRL_SPEED_1000 = 2 << 8;
const CTRL_FORCE_SPEED = 1 << 11;
const CTRL_FORCE_DUPLEX = 1 << 12;
const CTRL_RESET = 1 << 26;
const STATUS_LINK_UP = 1 << 1;
const CTRL_EXT_LINK_MODE = 3 << 22;
const CTRL_EXT_DRIVER_LOADED = 1 << 28;
const MDIC_REGISTER_SHIFT = 16;
const MDIC_PHY_1 = 1 << 21;
const MDIC_WRITE = 1 << 26;
const MDIC_READY = 1 << 28;
const MDIC_ERROR = 1 << 30;
const GCR_TIMEOUT_RESEND = 1 << 16;
const RCTL_ENABLE = 1 << 1;
const RCTL_LOOPBACK_MAC = 1 << 6;
const RCTL_ACCEPT_BROADCAST = 1 << 15;
const RCTL_STRIP_CRC = 1 << 26;
const TCTL_ENABLE = 1 << 1;
const QUEUE_ENABLE = 1 << 25;
const SRRCTL_BUFFER_2_KIB = 2 << 0;
const SRRCTL_HEADER_64_BYTES = 1 << 8;
const SRRCTL_SPLIT_ALWAYS = 5 << 25;
const GPIE_MULTIPLE_MSIX = 1 << 4;
const VECTOR_0 = 1 << 0;
const VECTOR_1 = 1 << 1;
// "Interrupt Vector Allocation Registers": the lowest byte is the first receive queue's; bit 7 says that it has a vector.
const IVAR_RECEIVE_VECTOR_1 = 0x80 | 1;

// IEEE 802.3: the control register of every PHY.
const PHY_CONTROL = 0;
const PHY_SPEED_1000 = 1 << 6;
const PHY_FULL_DUPLEX = 1 << 8;
const PHY_RESTART_NEGOTIATION = 1 << 9;
const PHY_NEGOTIATE = 1 << 12;
const PHY_LOOPBACK = 1 << 14;

// "Advanced Transmit Data Descriptor": an address; then length and command; then the length of the whole frame.
const TX_DATA = 3 << 20;
const TX_END_OF_FRAME = 1 << 24;
const TX_INSERT_CRC = 1 << 25;
const TX_ADVANCED = 1 << 29;
const TX_FRAME_LENGTH_SHIFT = 14;
// "Advanced Receive Descriptors - Write-Back Format": done and error in the third word, the length in the fourth.
const RX_DONE = 1 << 0;
const RX_ERROR = 1 << 31;
const RX_LENGTH = 0xffff;

/** What a frame carries at most. With all that goes around it, it stays below Ethernet's 1518 bytes. */
const CHUNK = 1024;
/**
 * A header of our own goes before the data, and "Header Splitting" takes it off at the other end. So the data is never
 * taken for addresses or protocols, and a frame with one byte of it still has the 60 bytes that Ethernet asks for.
 */
const HEADER = 64;
/** A ring whose tail has caught up with its head is an empty one, so one slot stays free. */
const FRAMES = 256;
const BATCH = FRAMES - 1;
const DESCRIPTOR = 16;

// The memory that the device and this program share. Two descriptors send a frame, one receives it.
const TX_RING = 0;
const RX_RING = TX_RING + 2 * FRAMES * DESCRIPTOR;
const SENT_HEADER = RX_RING + FRAMES * DESCRIPTOR;
const RECEIVED_HEADER = SENT_HEADER + HEADER;
const SHARED = RECEIVED_HEADER + HEADER;

/** Options of {@link Igb.open}. */
export interface IgbOptions {
  /** How frames that came back are heard of: by MSI-X vector 1, or by looking at the ring again and again (the default). */
  readonly completion?: "interrupt" | "polling";
  /** How long a batch of 255 frames may take, in milliseconds; at 1 Gb/s it takes 2.3. Default 100. */
  readonly timeout?: number;
}

/** A copy, by IOVAs; the length is in bytes. */
export interface IgbCopy {
  readonly source: bigint;
  readonly destination: bigint;
  readonly length: number;
}

/** Where a frame comes back: its slot of the receive ring; and how much of the copy it carries, in bytes. */
export interface IgbFrame {
  readonly slot: number;
  readonly length: number;
}

/** What another process must know to go on with the device, while it runs: plain, to be serialised. */
export interface IgbState {
  readonly completion: "interrupt" | "polling";
  /** Where {@link Igb.memory} is mapped. */
  readonly iova: bigint;
  readonly tail: number;
  /** The copies that are not over, in their order, and how many bytes of each are. */
  readonly copies: readonly (IgbCopy & { readonly done: number })[];
  /** What the device has of the first of them. */
  readonly frames: readonly IgbFrame[];
  /** Whether an interrupt was heard for them, after which nobody has looked. */
  readonly heard: boolean;
}

/** A copy that is not over. */
interface Copying extends IgbCopy {
  /** How many bytes are. */
  done: number;
  resolve(): void;
  reject(error: unknown): void;
}

/** A copy that did not come to its end. What is at the destination now is anything. */
export class IgbCopyError extends Error {
  override readonly name = "IgbCopyError";

  constructor(
    readonly code: "ETIMEDOUT" | "EIO",
    why: string,
    readonly source: bigint,
    readonly destination: bigint,
    readonly length: number,
  ) {
    const [from, to] = [source, destination].map((iova) => `0x${iova.toString(16)}`);
    super(`${code}: copying ${length} bytes from ${from} to ${to}: ${why}`);
  }
}

/**
 * An 82576 as a DMA engine.
 *
 * The device is borrowed: it stays open when this is disposed, and does no DMA from then on.
 *
 * While it runs it can pass to another process, with copies under way: `hold()` and `state()` here, {@link Igb.resume} there.
 * What has to pass by a live update is the container, and {@link memory} under some name.
 */
export class Igb implements Disposable {
  /** MSI-X vector 0, which {@link sendInterrupt} raises. */
  readonly interrupt: Interrupt;
  /** The rings. */
  readonly memory: DmaBuffer;
  /** The copies that a former process has asked for, and when each is over; none if there was no former process. */
  readonly inFlight: readonly (IgbCopy & { readonly over: Promise<void> })[];
  readonly #device: Device;
  readonly #registers: Registers;
  readonly #shared: DmaMapping;
  readonly #words: Int32Array;
  readonly #addresses: BigUint64Array;
  readonly #timeout: number;
  /** MSI-X vector 1, if frames are heard of by it. */
  readonly #received: Interrupt | undefined;
  /** The receive ring's tail; the transmit ring's is twice that. */
  #tail: number;
  /** What is to be copied; the first is under way. */
  readonly #copies: Copying[] = [];
  /** What the device has. */
  #frames: readonly IgbFrame[];
  /** Whether there may be something to look at. */
  #heard: boolean;
  /** When the frames must have come back. */
  #deadline = Number.POSITIVE_INFINITY;
  /** Resolves at once, or when {@link release} is called. */
  #mayGoOn: Promise<void> = Promise.resolve();
  #goOn: (() => void) | undefined;
  /** Ends the wait for an interrupt. */
  #wake: (() => void) | undefined;
  readonly #onReceived = () => {
    this.#heard = true;
    this.#wake?.();
  };
  #resetting = false;
  #closed = false;

  /**
   * Brings a device up: reset, loopback, rings, interrupt.
   *
   * @param container where the rings are mapped
   * @param device an 82576 that is attached to it
   */
  static async open(container: Container, device: Device, options: IgbOptions = {}): Promise<Igb> {
    const { vendorId, deviceId } = device.config;
    if (vendorId !== 0x8086 || deviceId !== 0x10c9) throw new Error(`${device} is not an 82576`);
    const igb = Igb.#withMemory(container, device, options);
    try {
      await igb.#reset();
      await igb.#start();
    } catch (error) {
      igb[Symbol.dispose]();
      throw error;
    }
    return igb;
  }

  static #withMemory(container: Container, device: Device, options: IgbOptions): Igb {
    const { completion = "polling" } = options;
    const memory = DmaBuffer.allocate(SHARED, { name: "igb" });
    let shared: DmaMapping | undefined;
    let vectors: readonly Interrupt[] = [];
    try {
      shared = container.map(memory);
      // To everybody, from a local address, of the type that IEEE 802 set aside for experiments.
      memory.bytes.set([0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x02, 0, 0, 0, 0, 0, 0x88, 0xb5], SENT_HEADER);
      vectors = device.msix.enable(completion === "interrupt" ? 2 : 1);
      return new Igb(
        device,
        shared,
        memory,
        { completion, iova: shared.iova, tail: 0, copies: [], frames: [], heard: false },
        options,
      );
    } catch (error) {
      for (const vector of vectors) vector.close();
      shared?.unmap();
      memory.close();
      throw error;
    }
  }

  /**
   * Goes on with a device that another process has brought up and handed over: nothing is reset, nothing set up. The copies that
   * were under way go on, see {@link inFlight}.
   *
   * @param memory what was {@link Igb.memory} there, and belongs to this object from here on
   * @param state what `state()` was there
   */
  static resume(
    container: Container,
    device: Device,
    memory: DmaBuffer,
    state: IgbState,
    options: Pick<IgbOptions, "timeout"> = {},
  ): Igb {
    const shared = container.mappingAt(state.iova);
    if (shared?.memory !== memory) throw new Error(`the rings of ${device} are not where they were mapped`);
    return new Igb(device, shared, memory, state, options);
  }

  private constructor(
    device: Device,
    shared: DmaMapping,
    memory: DmaBuffer,
    { completion, tail, copies, frames, heard }: IgbState,
    { timeout = 100 }: Pick<IgbOptions, "timeout">,
  ) {
    this.#device = device;
    this.#registers = device.region("bar0").registers();
    this.memory = memory;
    this.#shared = shared;
    this.#words = new Int32Array(memory.arrayBuffer);
    this.#addresses = new BigUint64Array(memory.arrayBuffer);
    this.#timeout = timeout;
    this.interrupt = device.msix.vector(0);
    this.#received = completion === "interrupt" ? device.msix.vector(1) : undefined;
    this.#tail = tail;
    this.#frames = frames;
    this.#heard = heard;
    this.#deadline = performance.now() + timeout;
    this.#received?.on("interrupt", this.#onReceived);
    this.inFlight = copies.map((copy) => ({ ...copy, over: this.#ask(copy) }));
  }

  // ---- bringing it up ----------------------------------------------------------------------------------------------

  /** "Software Reset": in the first millisecond nothing may be asked of the device. */
  async #reset(): Promise<void> {
    this.#change(CTRL, { set: CTRL_RESET });
    await sleep(1);
    await this.#until("its reset did not end", () => (this.#registers.read32(CTRL) & CTRL_RESET) === 0);
  }

  /** "Software Initialization Sequence": everything that a reset wipes out. */
  async #start(): Promise<void> {
    this.#live();
    this.#write(IMC, 0xffff_ffff);
    this.#write(EIMC, 0xffff_ffff);
    this.#change(CTRL_EXT, { set: CTRL_EXT_DRIVER_LOADED, clear: CTRL_EXT_LINK_MODE });
    // "PCIe Control": a read that nobody answers, as one from an unmapped address, is not to be repeated for ever.
    this.#change(GCR, { clear: GCR_TIMEOUT_RESEND });
    this.#device.busMaster = true;
    await this.#startLoopback();
    await this.#startReceiver();
    await this.#startTransmitter();
    this.#startInterrupt();
  }

  /** "Internal PHY Loopback Mode". The link comes up by itself some time later. */
  async #startLoopback(): Promise<void> {
    // QEMU has a link only once a negotiation has ended; hardware forgets this one with the next write.
    await this.#writePhy(PHY_CONTROL, PHY_NEGOTIATE | PHY_RESTART_NEGOTIATION);
    await this.#writePhy(PHY_CONTROL, PHY_LOOPBACK | PHY_SPEED_1000 | PHY_FULL_DUPLEX);
    this.#change(CTRL, {
      set: CTRL_FORCE_SPEED | CTRL_SPEED_1000 | CTRL_FORCE_DUPLEX | CTRL_FULL_DUPLEX | CTRL_SET_LINK_UP,
      clear: CTRL_SPEED,
    });
  }

  /** "Receive Initialization". */
  async #startReceiver(): Promise<void> {
    this.#writeAddress(RDBAL, RDBAH, this.#shared.at(RX_RING));
    this.#write(RDLEN, FRAMES * DESCRIPTOR);
    // No frame fills 2 KiB, but QEMU drops one that is longer, with its header, than the buffer for what follows the header.
    this.#write(SRRCTL, SRRCTL_SPLIT_ALWAYS | SRRCTL_HEADER_64_BYTES | SRRCTL_BUFFER_2_KIB);
    this.#change(RXDCTL, { set: QUEUE_ENABLE });
    // Hardware loops frames back in the PHY and ignores the MAC's loopback; QEMU knows only the latter.
    this.#write(RCTL, RCTL_ENABLE | RCTL_LOOPBACK_MAC | RCTL_ACCEPT_BROADCAST | RCTL_STRIP_CRC);
    await this.#until("its receive queue did not start", () => (this.#registers.read32(RXDCTL) & QUEUE_ENABLE) !== 0);
    this.#tail = 0;
    this.#frames = [];
  }

  /** "Transmit Initialization". */
  async #startTransmitter(): Promise<void> {
    this.#writeAddress(TDBAL, TDBAH, this.#shared.at(TX_RING));
    this.#write(TDLEN, 2 * FRAMES * DESCRIPTOR);
    this.#change(TXDCTL, { set: QUEUE_ENABLE });
    this.#change(TCTL, { set: TCTL_ENABLE });
    await this.#until("its transmit queue did not start", () => (this.#registers.read32(TXDCTL) & QUEUE_ENABLE) !== 0);
  }

  /** "Interrupts", MSI-X: vector 0's cause is set by software only, because no queue is assigned to it in IVAR. */
  #startInterrupt(): void {
    const vectors = this.#received === undefined ? VECTOR_0 : VECTOR_0 | VECTOR_1;
    this.#write(GPIE, GPIE_MULTIPLE_MSIX);
    this.#write(IVAR0, this.#received === undefined ? 0 : IVAR_RECEIVE_VECTOR_1);
    this.#write(EIAC, vectors);
    this.#write(EITR0, 0);
    this.#write(EITR1, 0);
    this.#write(EIMS, vectors);
  }

  /** "MDI Control". */
  async #writePhy(register: number, value: number): Promise<void> {
    this.#write(MDIC, MDIC_WRITE | MDIC_PHY_1 | (register << MDIC_REGISTER_SHIFT) | value);
    await this.#until("its PHY did not answer", () => (this.#registers.read32(MDIC) & MDIC_READY) !== 0);
    if ((this.#registers.read32(MDIC) & MDIC_ERROR) !== 0) throw new Error(`${this.#device}: its PHY refused a write`);
  }

  // ---- copying -----------------------------------------------------------------------------------------------------

  /**
   * Copies memory by DMA. Copies that are asked for at the same time are made one after the other.
   *
   * @param source an IOVA
   * @param destination an IOVA
   * @param length in bytes
   * @throws IgbCopyError if the frames did not come back, because an address is not mapped, for example. The device was
   *   reset then and works again.
   */
  async copy(source: number | bigint, destination: number | bigint, length: number): Promise<void> {
    await this.#ask({ source: BigInt(source), destination: BigInt(destination), length, done: 0 });
  }

  #ask(copy: IgbCopy & { readonly done: number }): Promise<void> {
    const over = new Promise<void>((resolve, reject) => {
      this.#copies.push({ ...copy, resolve, reject });
    });
    if (this.#copies.length === 1) void this.#makeCopies();
    return over;
  }

  /** Makes one copy after the other, until there is none. */
  async #makeCopies(): Promise<void> {
    for (let copy = this.#copies[0]; copy !== undefined; copy = this.#copies[0]) {
      try {
        await this.#make(copy);
        copy.resolve();
      } catch (error) {
        copy.reject(error);
      }
      this.#copies.shift();
    }
  }

  async #make(copy: Copying): Promise<void> {
    const { source, destination, length } = copy;
    if (!Number.isSafeInteger(length) || length < 0) throw new RangeError(`${length} is not a length`);
    await this.#until("it has no link", () => (this.#registers.read32(STATUS) & STATUS_LINK_UP) !== 0);
    while (copy.done < length) {
      const batch = [
        source + BigInt(copy.done),
        destination + BigInt(copy.done),
        Math.min(length - copy.done, BATCH * CHUNK),
      ] as const;
      if (this.#frames.length === 0) {
        await this.#mayGoOn;
        this.#live();
        this.#send(...batch);
      }
      const failure = await this.#receive();
      this.#frames = [];
      this.#heard = false;
      if (failure !== undefined) {
        await this.#startOver();
        throw new IgbCopyError(failure.code, failure.why, ...batch);
      }
      copy.done += batch[2];
    }
  }

  /** A failed DMA leaves the queues stuck, and a frame may still be on its way: only a reset of the function ends both. */
  async #startOver(): Promise<void> {
    this.#resetting = true;
    try {
      await this.#device.resetAsync();
      await this.#start();
    } finally {
      this.#resetting = false;
    }
  }

  /** Fills the rings and starts the device. */
  #send(source: bigint, destination: bigint, length: number): void {
    const frames: IgbFrame[] = [];
    for (let done = 0; done < length; done += CHUNK) {
      const slot = this.#tail;
      const carried = Math.min(CHUNK, length - done);
      this.#fillRx(slot, destination + BigInt(done));
      this.#fillTx(2 * slot, this.#shared.at(SENT_HEADER), HEADER, 0, HEADER + carried);
      this.#fillTx(2 * slot + 1, source + BigInt(done), carried, TX_END_OF_FRAME, HEADER + carried);
      frames.push({ slot, length: carried });
      this.#tail = (slot + 1) % FRAMES;
    }
    this.#frames = frames;
    this.#deadline = performance.now() + this.#timeout;
    // The descriptors are in memory before the device hears of them: a register write keeps that order. And a frame is
    // dropped if it comes back before there is a place for it.
    this.#write(RDT, this.#tail);
    this.#write(TDT, 2 * this.#tail);
  }

  /** "Advanced Receive Descriptors - Read Format". What is "done" later is bit 0 of the header's address, 0 now. */
  #fillRx(slot: number, iova: bigint): void {
    const at = (RX_RING + slot * DESCRIPTOR) / 8;
    this.#addresses[at] = iova;
    this.#addresses[at + 1] = this.#shared.at(RECEIVED_HEADER);
  }

  #fillTx(slot: number, iova: bigint, length: number, command: number, frameLength: number): void {
    const at = TX_RING + slot * DESCRIPTOR;
    this.#addresses[at / 8] = iova;
    this.#words[at / 4 + 2] = TX_ADVANCED | TX_DATA | TX_INSERT_CRC | command | length;
    this.#words[at / 4 + 3] = frameLength << TX_FRAME_LENGTH_SHIFT;
  }

  /** Waits until the last frame is there, and looks at them all. Says what is wrong. */
  async #receive(): Promise<{ code: "ETIMEDOUT" | "EIO"; why: string } | undefined> {
    const word = (slot: number, index: number) => Atomics.load(this.#words, (RX_RING + slot * DESCRIPTOR) / 4 + index);
    if (!this.#heard) await this.#something();
    for (const { slot, length } of this.#frames) {
      // The device changes this word behind the engine's back: only an atomic load is sure to look again, and keeps what
      // is read of the destination afterwards from being older.
      while ((word(slot, 2) & RX_DONE) === 0) {
        if (performance.now() > this.#deadline) {
          return { code: "ETIMEDOUT", why: `a frame did not come back within ${this.#timeout} ms (is it mapped?)` };
        }
        this.#heard = false;
        await this.#something();
      }
      if ((word(slot, 2) & RX_ERROR) !== 0) return { code: "EIO", why: "a frame came back with an error" };
      if ((word(slot, 3) & RX_LENGTH) !== length) return { code: "EIO", why: "a frame came back with another length" };
    }
    return undefined;
  }

  /** Waits until it is worth to look again: an interrupt has come, or others had their turn. */
  async #something(): Promise<void> {
    if (this.#received === undefined) {
      await yieldToOthers();
    } else {
      await new Promise<void>((resolve) => {
        const timer = setTimeout(resolve, Math.max(0, this.#deadline - performance.now()));
        this.#wake = () => {
          clearTimeout(timer);
          resolve();
        };
      });
    }
    await this.#mayGoOn;
    this.#live();
  }

  // ---- to another process ------------------------------------------------------------------------------------------

  /**
   * Gives the device nothing more to do, and looks at nothing that comes back: another process is to. The device goes on with
   * what it has. What has been asked for is not over until {@link release}, which is called if the other process did not come.
   *
   * @throws Error while the device is reset after a failure
   */
  hold(): void {
    if (this.#resetting) throw new Error(`${this.#device} is being reset: try again`);
    if (this.#goOn !== undefined) return;
    this.#mayGoOn = new Promise((resolve) => {
      this.#goOn = resolve;
    });
    // What comes from here on is counted for whoever listens next.
    this.#received?.off("interrupt", this.#onReceived);
    this.#wake?.();
  }

  /** Goes on after {@link hold}. */
  release(): void {
    if (this.#goOn === undefined) return;
    this.#deadline = performance.now() + this.#timeout;
    if (!this.#closed) this.#received?.on("interrupt", this.#onReceived);
    this.#goOn();
    this.#goOn = undefined;
  }

  /** What another process must know. It is true until {@link release}. */
  state(): IgbState {
    return {
      completion: this.#received === undefined ? "polling" : "interrupt",
      iova: this.#shared.iova,
      tail: this.#tail,
      copies: this.#copies.map(({ source, destination, length, done }) => ({ source, destination, length, done })),
      frames: this.#frames,
      heard: this.#heard,
    };
  }

  // ---- interrupts --------------------------------------------------------------------------------------------------

  /** "Extended Interrupt Cause Set": raises {@link interrupt}. */
  sendInterrupt(): void {
    this.#write(EICS, VECTOR_0);
  }

  // ---- registers ---------------------------------------------------------------------------------------------------

  #write(register: number, value: number): void {
    this.#registers.write32(register, value >>> 0);
  }

  #writeAddress(low: number, high: number, iova: bigint): void {
    this.#registers.write32(low, Number(iova & 0xffff_ffffn));
    this.#registers.write32(high, Number(iova >> 32n));
  }

  #change(register: number, { set = 0, clear = 0 }: { set?: number; clear?: number }): void {
    this.#write(register, (this.#registers.read32(register) & ~clear) | set);
  }

  /** The datasheet's own times are milliseconds; QEMU's negotiation takes half a second. */
  async #until(complaint: string, ready: () => boolean): Promise<void> {
    const deadline = performance.now() + 5000;
    for (this.#live(); !ready(); this.#live()) {
      if (performance.now() > deadline) throw new Error(`${this.#device}: ${complaint}`);
      await sleep(1);
      await this.#mayGoOn;
    }
  }

  // ---- the end -----------------------------------------------------------------------------------------------------

  #live(): void {
    if (this.#closed) throw new Error(`the driver of ${this.#device} is closed`);
  }

  /** Stops the device, and then takes its memory away. A copy that is under way fails. */
  [Symbol.dispose](): void {
    if (this.#closed) return;
    this.#closed = true;
    try {
      if (!this.#device.closed) {
        this.#device.busMaster = false;
        this.#change(CTRL, { set: CTRL_RESET });
        this.interrupt.close();
        this.#received?.close();
      }
    } finally {
      this.#shared.unmap();
      this.memory.close();
      this.#wake?.();
      this.release();
    }
  }
}
