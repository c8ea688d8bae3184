/**
 * What a device's user knows and the kernel does not tell: which eventfds its interrupts signal. A process that hands a device
 * over says it, and its successor goes on from it without a word to the kernel.
 *
 * `Fd` is a number where descriptors are borrowed, an {@link OwnedFd} where they belong to whoever reads this.
 *
 * @module
 */
import type { Interrupt } from "./interrupt.js";
import type { IrqName } from "./irq-name.js";
import type { Width } from "./registers.js";

/** A kind of interrupt that is on. */
export interface IrqState<Fd> {
  readonly kind: IrqName;
  /** MSI and MSI-X: how many vectors the kernel set aside. */
  readonly allocated: number;
  readonly vectors: readonly { readonly index: number; readonly eventfd: Fd }[];
  /** INTx: the eventfd that unmasks the line. */
  readonly unmask: Fd | undefined;
}

/** A register that the kernel writes when an eventfd is signalled. */
export interface IoeventfdState<Fd> {
  readonly region: number;
  readonly offset: number;
  readonly width: Width;
  readonly value: bigint;
  readonly eventfd: Fd;
}

/** All of a device. */
export interface DeviceState<Fd> {
  readonly irqs: readonly IrqState<Fd>[];
  readonly ioeventfds: readonly IoeventfdState<Fd>[];
}

/** A device with its tie to its container, as the manifest of a live update has it: the descriptors are its indexes. */
export interface PreservedDevice extends DeviceState<number> {
  readonly address: string;
  readonly descriptor: number;
  /** Legacy: its group's number. */
  readonly group: number | undefined;
  /** iommufd: its id there, and that of the page table that it is attached to. */
  readonly iommufdId: number | undefined;
  readonly pageTableId: number | undefined;
}

/** The same state with other descriptors: borrowed ones sent, or received ones owned. @internal */
export function mapDeviceState<From, To>(
  { irqs, ioeventfds }: DeviceState<From>,
  convert: (fd: From) => To,
): DeviceState<To> {
  return {
    irqs: irqs.map(({ kind, allocated, vectors, unmask }) => ({
      kind,
      allocated,
      vectors: vectors.map(({ index, eventfd }) => ({ index, eventfd: convert(eventfd) })),
      unmask: unmask === undefined ? undefined : convert(unmask),
    })),
    ioeventfds: ioeventfds.map((order) => ({ ...order, eventfd: convert(order.eventfd) })),
  };
}

/** The state of interrupts of one kind; undefined if none is on. @internal */
export function stateOf(
  kind: IrqName,
  on: readonly Interrupt[],
  { allocated = 0, unmask }: { readonly allocated?: number; readonly unmask?: number | undefined } = {},
): IrqState<number> | undefined {
  if (on.length === 0) return undefined;
  return { kind, allocated, vectors: on.map(({ index, eventfd }) => ({ index, eventfd })), unmask };
}
