/**
 * A driver for `edu`, the teaching device of QEMU (`-device edu`; QEMU's docs/specs/edu describes it): registers, DMA and
 * interrupts, each in its simplest form.
 *
 * ```ts
 * using container = openContainer();
 * using edu = Edu.open(container, "0000:00:02.0");
 * console.log(await edu.factorial(10)); // 3628800, computed by the device
 *
 * using buffer = DmaBuffer.allocate(4096);
 * using mapping = edu.map(buffer);
 * buffer.bytes.set([1, 2, 3]);
 * await edu.toDevice({ iova: mapping.iova, length: 3 });
 * ```
 */
import { setImmediate as nextTurn } from "node:timers/promises";
import type { Container, Device, DmaMapping, DmaMemory, Interrupt, MapOptions, Registers, WaitOptions } from "vfio";

// BAR 0. Below 0x80 every access is of 4 bytes, from there on of 4 or 8.
const IDENTIFICATION = 0x00; // 0xMMmm00ed: major and minor version
const LIVENESS = 0x04; // reads as the inverse of what was written
const FACTORIAL = 0x08;
const STATUS = 0x20;
const INTERRUPT_STATUS = 0x24; // the causes that were raised and not acknowledged
const INTERRUPT_RAISE = 0x60;
const INTERRUPT_ACKNOWLEDGE = 0x64;
const DMA_SOURCE = 0x80;
const DMA_DESTINATION = 0x88;
const DMA_COUNT = 0x90;
const DMA_COMMAND = 0x98;

const STATUS_COMPUTING = 0x01;
const STATUS_INTERRUPT_WHEN_COMPUTED = 0x80;

const DMA_START = 0x01;
const DMA_TO_MEMORY = 0x02;
const DMA_INTERRUPT_WHEN_DONE = 0x04;

// What the device itself raises interrupts for.
const CAUSE_FACTORIAL = 0x001;
const CAUSE_DMA = 0x100;

/** Where the device's own buffer lies, in its own addresses. */
const BUFFER_ADDRESS = 0x40000;

const DEFAULT_TIMEOUT = 10_000;

/** How the device is driven. */
export interface EduOptions {
  /** How its interrupts come; `none` looks at its registers instead. Default `msi`. */
  readonly interrupts?: "msi" | "intx" | "none";
}

/** A DMA transfer. */
export interface EduTransfer {
  /** Where the memory is for the device: in a mapping below {@link Edu.dmaMask}. */
  readonly iova: bigint;
  /** In bytes. */
  readonly length: number;
  /** Where in the device's buffer, in bytes. Default 0. */
  readonly offset?: number;
}

/** Somebody who waits for an interrupt. */
interface Waiter {
  readonly cause: number;
  heard(): void;
}

/** An edu device. Open it with {@link Edu.open}; disposing it closes the device. */
export class Edu implements Disposable {
  /** The highest address that it can drive: 28 bits, unless QEMU was told otherwise (`dma_mask=`). */
  static readonly dmaMask = 0x0fff_ffff;
  /** The length of its buffer, in bytes. */
  static readonly bufferSize = 4096;

  /** The device. Disposing this object closes it. */
  readonly device: Device;
  readonly #container: Container;
  readonly #registers: Registers;
  readonly #byInterrupt: boolean;
  readonly #waiters = new Set<Waiter>();
  readonly #running = new Map<string, AbortController>();

  /**
   * Attaches an edu device that is bound to vfio-pci.
   *
   * @param container stays the caller's
   * @param address the PCI address, `0000:00:02.0`
   */
  static open(container: Container, address: string, options: EduOptions = {}): Edu {
    const device = container.attach(address);
    try {
      return new Edu(device, container, options);
    } catch (error) {
      device.close();
      throw error;
    }
  }

  private constructor(device: Device, container: Container, { interrupts = "msi" }: EduOptions) {
    this.device = device;
    this.#container = container;
    this.#registers = device.region("bar0").registers();
    this.#byInterrupt = interrupts !== "none";
    const identification = this.#registers.read32(IDENTIFICATION);
    if ((identification & 0xffff) !== 0x00ed) {
      throw new Error(`${device.address} is no edu device: it identifies itself as 0x${identification.toString(16)}`);
    }
    // Without it the device can neither reach memory nor send MSI.
    device.busMaster = true;
    // It has no reset: what its last user left raised would come as our first interrupt.
    this.#registers.write32(INTERRUPT_ACKNOWLEDGE, 0xffff_ffff);
    this.#registers.write32(STATUS, this.#byInterrupt ? STATUS_INTERRUPT_WHEN_COMPUTED : 0);
    if (interrupts === "msi") {
      this.#listen(device.msi.enableVector(0));
    } else if (interrupts === "intx") {
      const line = device.intx.enable();
      // The kernel has masked the line when we hear of it. Unmask it once the device has stopped raising it.
      this.#listen(line, () => line.unmask());
    }
  }

  #listen(interrupt: Interrupt, unmask?: () => void): void {
    interrupt.on("interrupt", () => {
      // With MSI too: the causes stay in the register until they are acknowledged.
      const causes = this.#registers.read32(INTERRUPT_STATUS);
      this.#registers.write32(INTERRUPT_ACKNOWLEDGE, causes);
      unmask?.();
      for (const waiter of this.#waiters) if ((waiter.cause & causes) !== 0) waiter.heard();
    });
  }

  // ---- registers ---------------------------------------------------------------------------------------------------

  /** Its version, `1.0`. */
  get version(): string {
    const identification = this.#registers.read32(IDENTIFICATION);
    return `${identification >>> 24}.${(identification >>> 16) & 0xff}`;
  }

  /** Writes a number and tells whether the device has inverted it. */
  isAlive(probe = 0x1234_5678): boolean {
    this.#registers.write32(LIVENESS, probe);
    return this.#registers.read32(LIVENESS) === ~probe >>> 0;
  }

  /**
   * Has the device compute `n!`, in 32 bits: from 13 on, what is left of it modulo 2^32.
   *
   * @throws the signal's reason, or a `TimeoutError` (10 s, if nothing is said)
   */
  factorial(n: number, options: WaitOptions = {}): Promise<number> {
    const busy = () => (this.#registers.read32(STATUS) & STATUS_COMPUTING) !== 0;
    return this.#alone("a factorial", busy, options, async (signal) => {
      this.#registers.write32(INTERRUPT_ACKNOWLEDGE, CAUSE_FACTORIAL);
      this.#registers.write32(FACTORIAL, n);
      if (this.#byInterrupt) await this.#raised(CAUSE_FACTORIAL, signal);
      else await this.#whileBusy(busy, signal);
      return this.#registers.read32(FACTORIAL);
    });
  }

  /**
   * Has the device raise an interrupt, and waits until it has come.
   *
   * @param cause any bits but 0x1 and 0x100, which the device raises by itself
   */
  async raise(cause: number, options: WaitOptions = {}): Promise<void> {
    if (!this.#byInterrupt) throw new Error(`${this.device.address} was opened without interrupts`);
    await this.#alone(
      `interrupt 0x${cause.toString(16)}`,
      () => false,
      options,
      (signal) => {
        this.#registers.write32(INTERRUPT_RAISE, cause);
        return this.#raised(cause, signal);
      },
    );
  }

  // ---- DMA ---------------------------------------------------------------------------------------------------------

  /** Maps memory where the device can reach it. */
  map(memory: DmaMemory, options: MapOptions = {}): DmaMapping {
    return this.#container.map(memory, { mask: Edu.dmaMask, ...options });
  }

  /**
   * Copies memory into the device's buffer. The device does not say whether it could: what it may not read, it reads as
   * something else.
   *
   * @throws the signal's reason, or a `TimeoutError`: then the transfer may go on until the memory is unmapped
   */
  async toDevice({ iova, length, offset = 0 }: EduTransfer, options: WaitOptions = {}): Promise<void> {
    checkTransfer(iova, length, offset);
    await this.#transfer({ from: iova, to: BUFFER_ADDRESS + offset, length, command: 0 }, options);
  }

  /** Copies the device's buffer into memory. The device does not say whether it could. Throws as {@link toDevice}. */
  async fromDevice({ iova, length, offset = 0 }: EduTransfer, options: WaitOptions = {}): Promise<void> {
    checkTransfer(iova, length, offset);
    await this.#transfer({ from: BUFFER_ADDRESS + offset, to: iova, length, command: DMA_TO_MEMORY }, options);
  }

  #transfer(
    { from, to, length, command }: { from: number | bigint; to: number | bigint; length: number; command: number },
    options: WaitOptions,
  ): Promise<void> {
    const busy = () => (this.#registers.read32(DMA_COMMAND) & DMA_START) !== 0;
    return this.#alone("a DMA transfer", busy, options, async (signal) => {
      this.#registers.write32(INTERRUPT_ACKNOWLEDGE, CAUSE_DMA);
      this.#registers.write64(DMA_SOURCE, from);
      this.#registers.write64(DMA_DESTINATION, to);
      this.#registers.write64(DMA_COUNT, length);
      // What the program stored in the memory before is there before this write reaches the device.
      const interrupt = this.#byInterrupt ? DMA_INTERRUPT_WHEN_DONE : 0;
      this.#registers.write64(DMA_COMMAND, command | interrupt | DMA_START);
      if (this.#byInterrupt) await this.#raised(CAUSE_DMA, signal);
      else await this.#whileBusy(busy, signal);
    });
  }

  // ---- waiting -----------------------------------------------------------------------------------------------------

  /** Runs an operation of which the device can do one at a time, with a signal for everything that can end it. */
  async #alone<Result>(
    what: string,
    busy: () => boolean,
    { signal, timeout = DEFAULT_TIMEOUT }: WaitOptions,
    operation: (signal: AbortSignal) => Promise<Result>,
  ): Promise<Result> {
    if (this.#running.has(what)) throw new Error(`${this.device.address} is busy with ${what} already`);
    signal?.throwIfAborted();
    // Not AbortSignal.any() of AbortSignal.timeout(): Node 20 lets the garbage collector have it before it fires.
    const end = new AbortController();
    const abort = () => end.abort(signal?.reason);
    const late = () => end.abort(new DOMException(`${what} took longer than ${timeout} ms`, "TimeoutError"));
    signal?.addEventListener("abort", abort, { once: true });
    const timer = setTimeout(late, timeout);
    this.#running.set(what, end);
    try {
      // One that was given up may still be under way: until it is over, the device takes no other.
      await this.#whileBusy(busy, end.signal);
      end.signal.throwIfAborted();
      return await operation(end.signal);
    } finally {
      this.#running.delete(what);
      clearTimeout(timer);
      signal?.removeEventListener("abort", abort);
    }
  }

  /** Looks again and again, once in each turn of the event loop. */
  async #whileBusy(busy: () => boolean, signal: AbortSignal): Promise<void> {
    while (busy()) {
      await nextTurn();
      signal.throwIfAborted();
    }
  }

  /** Waits for an interrupt of a cause. */
  #raised(cause: number, signal: AbortSignal): Promise<void> {
    return new Promise((resolve, reject) => {
      const abort = () => {
        this.#waiters.delete(waiter);
        reject(signal.reason);
      };
      const waiter: Waiter = {
        cause,
        heard: () => {
          this.#waiters.delete(waiter);
          signal.removeEventListener("abort", abort);
          resolve();
        },
      };
      signal.addEventListener("abort", abort, { once: true });
      this.#waiters.add(waiter);
    });
  }

  /** Ends what is waited for, and closes the device, which ends its DMA and switches its interrupts off. */
  [Symbol.dispose](): void {
    const closed = new Error(`the edu device ${this.device.address} was closed`);
    for (const end of this.#running.values()) end.abort(closed);
    this.device.close();
  }
}

/** The device checks neither: it would cut the address to 28 bits, and run out of its buffer. */
function checkTransfer(iova: bigint, length: number, offset: number): void {
  if (!(Number.isInteger(length) && Number.isInteger(offset) && length > 0 && offset >= 0)) {
    throw new RangeError(`a transfer of ${length} bytes at ${offset}: both must be whole, the length above 0`);
  }
  if (offset + length > Edu.bufferSize) {
    throw new RangeError(`${length} bytes at ${offset} are not within the device's ${Edu.bufferSize} bytes`);
  }
  if (iova < 0n || iova + BigInt(length) - 1n > BigInt(Edu.dmaMask)) {
    throw new RangeError(`IOVA 0x${iova.toString(16)} is beyond the device's 28 bits: map the memory with edu.map()`);
  }
}
