/**
 * A client, as the device sees it.
 *
 * @module
 */
import { counted, showAs } from "../../base/inspect.js";
import {
  VFIO_PCI_ERR_IRQ_INDEX,
  VFIO_PCI_INTX_IRQ_INDEX,
  VFIO_PCI_MSI_IRQ_INDEX,
  VFIO_PCI_MSIX_IRQ_INDEX,
  VFIO_PCI_REQ_IRQ_INDEX,
} from "../../kernel/uapi.js";
import { ClientMemory, type MemoryLink } from "./dma.js";
import { type InterruptKind, type IntxLine, IntxSource, MessageSource, NoticeSource } from "./interrupts.js";
import { WorkUnderWay } from "./work.js";

/** The interrupts of a device. @internal */
export interface InterruptSetup {
  readonly intx: boolean;
  readonly msi: number;
  readonly msix: number;
  /** The level of INTx, which outlives a client. */
  readonly line: IntxLine;
  /** Whether the command register lets the line through. */
  readonly intxAllowed: () => boolean;
}

/**
 * A client of a {@link PciDevice}: its memory, its interrupts, and a signal that aborts when it is gone.
 *
 * What a device does for a client belongs to that client. Work that goes on after its handler has returned takes
 * {@link PciDevice.client} once, at its beginning, and uses no other: when the client is gone, DMA is refused with ENOTCONN and no
 * interrupt is delivered, also while another client is connected.
 */
export class DeviceClient {
  /** The client's memory. */
  readonly dma = new ClientMemory();
  readonly intx: IntxSource;
  readonly msi: MessageSource;
  readonly msix: MessageSource;
  /** Reports an error of the device to the client. */
  readonly err = new NoticeSource();
  /** Asks the client to release the device. */
  readonly req = new NoticeSource();
  /** What the device does for the client and has not finished. @internal */
  readonly work = new WorkUnderWay();
  readonly #gone = new AbortController();
  #connected = false;

  /** @internal */
  constructor({ intx, msi, msix, line, intxAllowed }: InterruptSetup) {
    this.intx = new IntxSource(intx, intxAllowed, line);
    this.msi = new MessageSource("MSI", msi, false);
    this.msix = new MessageSource("MSI-X", msix, true);
  }

  /** Aborts when the client is gone: what the device does for it can end then. */
  get signal(): AbortSignal {
    return this.#gone.signal;
  }

  /** Whether the client is connected: false before it has introduced itself, and after it is gone. */
  get connected(): boolean {
    return this.#connected;
  }

  /** The interrupts by their index. @internal */
  interruptKind(index: number): InterruptKind | undefined {
    switch (index) {
      case VFIO_PCI_INTX_IRQ_INDEX:
        return this.intx;
      case VFIO_PCI_MSI_IRQ_INDEX:
        return this.msi;
      case VFIO_PCI_MSIX_IRQ_INDEX:
        return this.msix;
      case VFIO_PCI_ERR_IRQ_INDEX:
        return this.err;
      case VFIO_PCI_REQ_IRQ_INDEX:
        return this.req;
      default:
        return undefined;
    }
  }

  /** @internal */
  connect(link: MemoryLink): void {
    this.#connected = true;
    this.dma.connect(link);
    this.msi.connect();
    this.msix.connect();
  }

  /** The client is gone: nothing new begins, and nothing reaches it. Its ranges stay until {@link release}. @internal */
  leave(): void {
    this.#connected = false;
    this.dma.leave();
    for (const kind of [this.intx, this.msi, this.msix, this.err, this.req]) kind.disconnect();
    this.#gone.abort();
  }

  /** Gives its memory back, once the device has let go of it. @internal */
  release(): void {
    this.dma.disconnect();
    this.intx.release();
  }
}

showAs(
  DeviceClient,
  (client) => `${counted(client.dma.ranges.length, "range")} of memory${client.signal.aborted ? ", gone" : ""}`,
);
