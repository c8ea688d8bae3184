/**
 * KVM: the meeting of a device's interrupt and a guest's.
 *
 * @module
 */
export { connectIntx, IntxConnection, type IntxConnectionOptions, type IntxDelivery } from "./intx-connection.js";
export { KvmIoeventfd, type KvmIoeventfdOptions } from "./ioeventfd.js";
export { IrqFd, type IrqFdOptions } from "./irqfd.js";
export { Kvm } from "./kvm.js";
export { KvmVfioDevice } from "./kvm-vfio.js";
export { LocalApic } from "./local-apic.js";
export { ConnectedVector, connectMessages, type GuestVector, MessageConnection, type MessageConnectionOptions, } from "./message-connection.js";
export { type GsiRoute, GsiRouting, type IrqchipPin, type MsiMessage } from "./routing.js";
export { Vcpu } from "./vcpu.js";
export { type AdoptOptions, type IrqchipKind, Vm, type VmOptions } from "./vm.js";
