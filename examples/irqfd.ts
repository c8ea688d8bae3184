/**
 * The wiring of an interrupt into a guest, out of it, and into another one, with nothing lost. No guest is booted: the
 * message is seen to arrive in a vCPU's local APIC.
 *
 *     node dist/examples/irqfd.js                                  an eventfd stands for the device
 *     npm run rig -- node dist/examples/irqfd.js 0000:00:02.0      MSI of a device
 *
 * (With a device, `connectMessages` does all this, and masking: docs/interrupts-into-a-guest.md.)
 *
 * @module
 */
import { writeSync } from "node:fs";
import { openContainer } from "vfio";
import { Kvm, type Vm } from "vfio/kvm";
import { bindDriver } from "vfio/pci";

const VECTOR = 0x41;
const [address] = process.argv.slice(2);

using kvm = Kvm.open();
using first = kvm.createVm({ label: "the first guest" });
using second = kvm.createVm({ label: "the second guest" });
using doorbell = first.ioeventfd({ address: 0xd000_0000, length: 4 }); // an eventfd, if there is no device
using binding = address === undefined ? undefined : bindDriver(address); // vfio-pci, for as long as this runs
using container = binding && openContainer();
const interrupt = address === undefined ? undefined : container?.attach(address).msi.enableVector(0);
const eventfd = interrupt?.eventfd ?? doorbell.eventfd;
const raise = () => interrupt?.trigger() ?? writeSync(eventfd, new BigUint64Array([1n]));

/** A route from a GSI to what the guest wrote into the device's MSI registers; then the eventfd to the GSI. */
function wire(vm: Vm) {
  const gsi = vm.routing.allocate();
  vm.routing.setMsi(gsi, { address: 0xfee0_0000, data: VECTOR }).commit();
  return vm.irqfd({ eventfd, gsi, label: interrupt?.label ?? "an eventfd" });
}

/** A vCPU whose local APIC is on, as a guest would switch it; tells when the vector has arrived. */
function arrival(vm: Vm) {
  const vcpu = vm.createVcpu();
  const apic = vcpu.readLocalApic();
  apic.enabled = true;
  vcpu.writeLocalApic(apic);
  return () => {
    while (!vcpu.readLocalApic().isRequested(VECTOR)); // KVM injects on a thread of its own
    console.log(`vector 0x${VECTOR.toString(16)} has arrived in ${vm}`);
  };
}

const [arrivedInFirst, arrivedInSecond] = [arrival(first), arrival(second)];
const irqfd = wire(first);
raise();
arrivedInFirst();

irqfd.deassign(); // from here on the eventfd counts
raise();
raise();
wire(second); // and here KVM raises what was counted
arrivedInSecond();
