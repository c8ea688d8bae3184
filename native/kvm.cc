// KVM: what a device's interrupts need of it.
#include "uapi/kvm.h"

#include <sys/ioctl.h>

#include <cstring>
#include <vector>

#include "bind.h"

namespace vfio {
namespace {

using namespace uapi;

std::int64_t get_api_version(Fd kvm) { return result(ioctl(kvm.value, KVM_GET_API_VERSION, 0)); }

// On /dev/kvm what a new VM may have, on a VM what this one has.
std::int64_t check_extension(Fd kvm_or_vm, std::uint32_t extension) {
  return result(ioctl(kvm_or_vm.value, KVM_CHECK_EXTENSION, static_cast<unsigned long>(extension)));
}

// KVM opens VMs, vCPUs and devices with O_CLOEXEC.
NewFd create_vm(Fd kvm, std::uint32_t type) {
  const int fd = ioctl(kvm.value, KVM_CREATE_VM, static_cast<unsigned long>(type));
  return {fd < 0 ? -errno : fd};
}

std::int64_t enable_cap(Fd vm, std::uint32_t cap, std::uint64_t argument) {
  kvm_enable_cap request{};
  request.cap = cap;
  request.args[0] = argument;
  return result(ioctl(vm.value, KVM_ENABLE_CAP, &request));
}

std::int64_t create_irqchip(Fd vm) { return result(ioctl(vm.value, KVM_CREATE_IRQCHIP, 0)); }

NewFd create_vcpu(Fd vm, std::uint32_t id) {
  const int fd = ioctl(vm.value, KVM_CREATE_VCPU, static_cast<unsigned long>(id));
  return {fd < 0 ? -errno : fd};
}

// `registers` are the local APIC's 1024 bytes, which x86 alone has.
std::int64_t get_lapic([[maybe_unused]] Fd vcpu, [[maybe_unused]] Bytes registers) {
#if defined(__x86_64__)
  if (registers.length != sizeof(kvm_lapic_state)) return -EINVAL;
  return result(ioctl(vcpu.value, KVM_GET_LAPIC, registers.data));
#else
  return -ENOTTY;
#endif
}

std::int64_t set_lapic([[maybe_unused]] Fd vcpu, [[maybe_unused]] Bytes registers) {
#if defined(__x86_64__)
  if (registers.length != sizeof(kvm_lapic_state)) return -EINVAL;
  return result(ioctl(vcpu.value, KVM_SET_LAPIC, registers.data));
#else
  return -ENOTTY;
#endif
}

std::int64_t irq_line(Fd vm, std::uint32_t gsi, bool level) {
  kvm_irq_level request{};
  request.irq = gsi;
  request.level = level ? 1 : 0;
  return result(ioctl(vm.value, KVM_IRQ_LINE, &request));
}

// The whole table: it replaces the one before. `entries` are kvm_irq_routing_entry, one after the other.
std::int64_t set_gsi_routing(Fd vm, Bytes entries) {
  if (entries.length % sizeof(kvm_irq_routing_entry) != 0) return -EINVAL;
  std::vector<std::uint8_t> request(sizeof(kvm_irq_routing) + entries.length);
  kvm_irq_routing head{};
  head.nr = static_cast<std::uint32_t>(entries.length / sizeof(kvm_irq_routing_entry));
  std::memcpy(request.data(), &head, sizeof(head));
  if (entries.length > 0) std::memcpy(request.data() + sizeof(head), entries.data, entries.length);
  return result(ioctl(vm.value, KVM_SET_GSI_ROUTING, request.data()));
}

// How many vCPUs took it: 0 if the guest has blocked it.
std::int64_t signal_msi(Fd vm, std::uint64_t address, std::uint32_t data, std::optional<std::uint32_t> device) {
  kvm_msi request{};
  request.address_lo = static_cast<std::uint32_t>(address);
  request.address_hi = static_cast<std::uint32_t>(address >> 32);
  request.data = data;
  if (device) {
    request.flags = KVM_MSI_VALID_DEVID;
    request.devid = *device;
  }
  return result(ioctl(vm.value, KVM_SIGNAL_MSI, &request));
}

std::int64_t irqfd(Fd vm, Fd eventfd, std::uint32_t gsi, std::uint32_t flags, Fd resample) {
  kvm_irqfd request{};
  request.fd = static_cast<std::uint32_t>(eventfd.value);
  request.gsi = gsi;
  request.flags = flags;
  request.resamplefd = static_cast<std::uint32_t>(resample.value);
  return result(ioctl(vm.value, KVM_IRQFD, &request));
}

std::int64_t ioeventfd(Fd vm, Fd eventfd, std::uint64_t address, std::uint32_t length, std::uint32_t flags,
                       std::uint64_t match) {
  kvm_ioeventfd request{};
  request.datamatch = match;
  request.addr = address;
  request.len = length;
  request.fd = eventfd.value;
  request.flags = flags;
  return result(ioctl(vm.value, KVM_IOEVENTFD, &request));
}

NewFd create_device(Fd vm, std::uint32_t type) {
  kvm_create_device request{};
  request.type = type;
  if (ioctl(vm.value, KVM_CREATE_DEVICE, &request) < 0) return {-errno};
  return {static_cast<int>(request.fd)};
}

std::int64_t has_device_attr(Fd device, std::uint32_t group, std::uint64_t attribute) {
  kvm_device_attr request{};
  request.group = group;
  request.attr = attribute;
  return result(ioctl(device.value, KVM_HAS_DEVICE_ATTR, &request));
}

// An attribute whose value is one descriptor, as all of the VFIO device's are.
std::int64_t set_device_attr_fd(Fd device, std::uint32_t group, std::uint64_t attribute, std::int32_t file) {
  kvm_device_attr request{};
  request.group = group;
  request.attr = attribute;
  request.addr = reinterpret_cast<std::uintptr_t>(&file);
  return result(ioctl(device.value, KVM_SET_DEVICE_ATTR, &request));
}

}  // namespace

void bind_kvm(Napi::Object exports) {
  bind<get_api_version>(exports, "kvmGetApiVersion");
  bind<check_extension>(exports, "kvmCheckExtension");
  bind<create_vm>(exports, "kvmCreateVm");
  bind<enable_cap>(exports, "kvmEnableCap");
  bind<create_irqchip>(exports, "kvmCreateIrqchip");
  bind<create_vcpu>(exports, "kvmCreateVcpu");
  bind<get_lapic>(exports, "kvmGetLapic");
  bind<set_lapic>(exports, "kvmSetLapic");
  bind<irq_line>(exports, "kvmIrqLine");
  bind<set_gsi_routing>(exports, "kvmSetGsiRouting");
  bind<signal_msi>(exports, "kvmSignalMsi");
  bind<irqfd>(exports, "kvmIrqfd");
  bind<ioeventfd>(exports, "kvmIoeventfd");
  bind<create_device>(exports, "kvmCreateDevice");
  bind<has_device_attr>(exports, "kvmHasDeviceAttr");
  bind<set_device_attr_fd>(exports, "kvmSetDeviceAttrFd");
}

}  // namespace vfio
