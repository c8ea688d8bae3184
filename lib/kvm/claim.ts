/**
 * A device's interrupt goes to one guest.
 *
 * KVM refuses a second irqfd of the same eventfd. A vector that has an eventfd of its own for each guest would get past that,
 * and be taken from the first guest without a word.
 *
 * @module
 */
import { constants } from "node:os";
import { VfioError } from "../base/errors.js";
import type { Interrupt } from "../device/interrupt.js";
import type { Vm } from "./vm.js";

/** Who has an interrupt. */
interface Holder {
  readonly vm: Vm;
  readonly eventfd: number;
}

const holders = new WeakMap<Interrupt, Holder>();

/**
 * Claims an interrupt for a connection.
 *
 * @param holder says where it goes, whenever somebody asks
 * @returns ends the claim
 * @throws VfioError `EBUSY` if it goes to a guest already
 */
export function claim(interrupt: Interrupt, vm: Vm, holder: Holder): () => void {
  const other = holders.get(interrupt);
  if (other !== undefined) {
    throw new VfioError({
      errno: constants.errno.EBUSY,
      syscall: "ioctl",
      request: "KVM_IRQFD",
      object: `${interrupt.label} in ${vm.label}`,
      why: `it goes to ${other.vm.label} already, through eventfd ${other.eventfd}, and an interrupt goes to one guest`,
      fix: "close that connection first, or take it to the other machine: connection.attach(vm)",
    });
  }
  holders.set(interrupt, holder);
  return () => {
    if (holders.get(interrupt) === holder) holders.delete(interrupt);
  };
}

/** The machine that an interrupt goes to. @internal */
export function claimedBy(interrupt: Interrupt): Vm | undefined {
  return holders.get(interrupt)?.vm;
}
