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
import type { Blocker, UpdateScope } from "../base/preserve.js";
import type { Interrupt } from "../device/interrupt.js";
import { IrqFd } from "./irqfd.js";
import type { GuestConnection } from "./part.js";
import type { Vm } from "./vm.js";

/** The connection that has an interrupt. */
interface Holder {
  readonly vm: Vm;
  readonly attached: boolean;
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

/**
 * What keeps a device's interrupt from being handed over: where it goes.
 *
 * @param device its address
 * @internal
 */
export function interruptBlockers(device: string, interrupt: Interrupt, scope: UpdateScope): readonly Blocker[] {
  const blocker = (why: string, fix: string): Blocker[] => [{ device, object: interrupt.label, why, fix }];
  const holder = holders.get(interrupt);
  if (holder !== undefined) {
    const { vm, attached } = holder;
    if (!scope.includes(vm)) return blocker(`it goes to ${vm}, which is not handed over`, "name that machine too");
    if (attached) return [];
    return blocker(`its connection to ${vm} is detached`, "attach or close the connection first");
  }
  const borrower = IrqFd.holderOf(interrupt.eventfd) ?? interrupt.borrower;
  if (borrower === undefined) return [];
  return blocker(`it is lent to ${borrower}`, "take it back first; connectMessages() can travel");
}

/** A connection goes along with its device and its machine. @internal */
export function connectionBlockers(
  connection: GuestConnection & { readonly vm: Vm },
  scope: UpdateScope,
): readonly Blocker[] {
  if (scope.includes(connection.source)) return [];
  return [
    {
      device: undefined,
      object: connection.label,
      why: `it goes to ${connection.vm.label}, which is handed over, and its device is not`,
      fix: "hand its container over too, or close the connection",
    },
  ];
}
