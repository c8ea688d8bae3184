/**
 * What `console.log` shows of each public object of this entry point, in one line.
 *
 * @module
 */

import { counted, openOrClosed, showAs } from "./base/inspect.js";
import { Container } from "./container/container.js";
import { DmaMapping } from "./container/mapping.js";
import { ConfigSpace } from "./device/config-space.js";
import { Device } from "./device/device.js";
import { DeviceFeatures } from "./device/feature.js";
import { Interrupt } from "./device/interrupt.js";
import { Ioeventfd } from "./device/ioeventfd.js";
import { IrqIndex } from "./device/irq-index.js";
import { Region } from "./device/region.js";
import { Ioas, Iommufd } from "./iommufd/iommufd.js";
import { OwnedFd } from "./kernel/fd.js";
import { UnixListener, UnixSocket } from "./kernel/unix-socket.js";
import { IntxConnection } from "./kvm/intx-connection.js";
import { KvmIoeventfd } from "./kvm/ioeventfd.js";
import { IrqFd } from "./kvm/irqfd.js";
import { Kvm } from "./kvm/kvm.js";
import { KvmVfioDevice } from "./kvm/kvm-vfio.js";
import { ConnectedVector, MessageConnection } from "./kvm/message-connection.js";
import { GsiRouting } from "./kvm/routing.js";
import { Vcpu } from "./kvm/vcpu.js";
import { Vm } from "./kvm/vm.js";
import { Binding } from "./pci/bind.js";

const hex = (value: number | bigint) => `0x${value.toString(16)}`;
const list = (names: Iterable<string>) => [...names].join(", ") || "none";

// ---- memory and address spaces --------------------------------------------------------------------------------------

showAs(DmaMapping, (mapping) => {
  const may = list([mapping.read ? "read" : "", mapping.write ? "write" : ""].filter(Boolean));
  return `IOVA ${hex(mapping.iova)}, ${hex(mapping.length)} bytes of ${mapping.memory.label}, devices may ${may}${mapping.mapped ? "" : ", unmapped"}`;
});
showAs(Container, (container) => {
  const devices = `devices: ${list(container.devices.keys())}`;
  return `${container.mode}, ${devices}, ${counted(container.mappingCount, "mapping")}, ${openOrClosed(container)}`;
});
showAs(Iommufd, (iommufd) => (iommufd.closed ? "closed" : `descriptor ${iommufd.fd}`));
showAs(Ioas, (ioas) => `id ${ioas.id}`);

// ---- devices --------------------------------------------------------------------------------------------------------

showAs(Device, (device) => `${device.address}, ${openOrClosed(device)}`);
showAs(Region, (region) => {
  const may = [region.readable ? "read" : "", region.writable ? "write" : "", region.mappable ? "map" : ""];
  return `${region.label}, ${region.size} bytes, ${list(may.filter(Boolean))}`;
});
showAs(ConfigSpace, (config) => config.label);
showAs(DeviceFeatures, () => "device features");
showAs(IrqIndex, (irq) => String(irq));
showAs(Interrupt, (interrupt) => `${interrupt.label}, ${openOrClosed(interrupt)}`);
showAs(Ioeventfd, (ioeventfd) => ioeventfd.label);
showAs(Binding, ({ address, driver, previousDriver, active }) => {
  const drivers = `${driver ?? "no driver"}, before that ${previousDriver ?? "no driver"}`;
  return `${address}: ${drivers}${active ? "" : ", restored"}`;
});

// ---- KVM ------------------------------------------------------------------------------------------------------------

showAs(Kvm, () => "/dev/kvm");
showAs(Vm, (vm) => `${vm.label}, ${openOrClosed(vm)}`);
showAs(Vcpu, (vcpu) => vcpu.label);
showAs(GsiRouting, (routing) => (routing.known ? counted(routing.routes.size, "route") : "unknown routes"));
showAs(
  IrqFd,
  (irqfd) =>
    `${irqfd.label}, GSI ${irqfd.gsi}, ${irqfd.closed ? "closed" : irqfd.assigned ? "assigned" : "deassigned"}`,
);
showAs(KvmIoeventfd, (ioeventfd) => ioeventfd.label);
showAs(KvmVfioDevice, (device) => device.label);
showAs(MessageConnection, (connection) => `${connection.label}, ${openOrClosed(connection)}`);
showAs(ConnectedVector, (vector) => `vector ${vector.index}`);
showAs(IntxConnection, (connection) => `${connection.label}, GSI ${connection.gsi}, ${openOrClosed(connection)}`);

// ---- descriptors ---------------------------------------------------------------------------------------

showAs(OwnedFd, (fd) => `${fd.label}, ${fd.closed ? "closed" : `descriptor ${fd.number}`}`);
showAs(UnixSocket, (socket) => `${socket.label}, ${socket.type}, ${openOrClosed(socket)}`);
showAs(UnixListener, (listener) => `${listener.path}, ${listener.type}`);
