/**
 * What a virtual machine made: it goes before the machine's descriptor does.
 *
 * @module
 */
import type { AddDescriptor, Preservable } from "../base/preserve.js";
import type { MsiMessage } from "./routing.js";

export interface VmPart {
  close(): void;
  /** Itself, if it is a connection of a device's interrupts to the guest: those go along in a live update. @internal */
  readonly connection?: GuestConnection;
}

/** A device's interrupts that go to a guest, as a live update sees them. */
export interface GuestConnection extends Preservable<PreservedConnection, FrozenConnection> {
  /** For messages. */
  readonly label: string;
  /** The kind of interrupt or the line of the device that it connects. @internal */
  readonly source: object;
  /** Whether its vectors are those that it had when it was preserved. @internal */
  isStill(preserved: PreservedConnection): boolean;
}

/** What a successor must know of a connection. */
export type PreservedConnection =
  | {
      readonly kind: "msi" | "msix";
      readonly masking: "irqfd" | "eventfd";
      /** `guest` is the second eventfd of masking by eventfd. */
      readonly vectors: readonly { readonly index: number; readonly guest: ReturnType<AddDescriptor> | undefined }[];
    }
  | { readonly kind: "intx"; readonly gsi: number; readonly delivery: "resample" | "irqfd" | "user" };

/** A vector as the guest has programmed it. */
export interface FrozenVector {
  readonly index: number;
  readonly message: MsiMessage | undefined;
  readonly masked: boolean;
  /** Masking by eventfd: whether the kernel signals the guest's eventfd now. */
  readonly toGuest: boolean;
}

/** The state of a connection that can change up to the last moment. A line has no vectors. */
export interface FrozenConnection {
  readonly vectors: readonly FrozenVector[];
}
