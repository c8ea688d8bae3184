// What a device's interrupts need of KVM's interface, as Linux 7.3 has it: constants, request numbers and argument
// layouts, under the kernel's own names.
//
// Only a part is here: running guests is not this package's business. The facts are those of the kernel's
// include/uapi/linux/kvm.h, arch/x86/include/uapi/asm/kvm.h and Documentation/virt/kvm/api.rst; .ci/check-uapi compares
// every number, size and offset with the newest kernel headers to be had. Never include <linux/kvm.h> in the same
// translation unit: its macros would replace these names.
#ifndef VFIO_NATIVE_UAPI_KVM_H_
#define VFIO_NATIVE_UAPI_KVM_H_

#include <cstddef>
#include <cstdint>

#include "ioctl.h"

namespace vfio::uapi {

inline constexpr unsigned long KVMIO = 0xAE;

// KVM's requests carry direction and size in their numbers (asm-generic/ioctl.h): 1 is what the kernel reads, 2 what it
// writes.
constexpr unsigned long kvm_request(unsigned long number) { return io_request(KVMIO, number); }
template <typename T>
constexpr unsigned long kvm_request(unsigned long direction, unsigned long number) {
  return direction << 30 | sizeof(T) << 16 | io_request(KVMIO, number);
}

// ---- /dev/kvm, and what it can do.

inline constexpr int KVM_API_VERSION = 12;

inline constexpr unsigned long KVM_GET_API_VERSION = kvm_request(0x00);
inline constexpr unsigned long KVM_CREATE_VM = kvm_request(0x01);
inline constexpr unsigned long KVM_CHECK_EXTENSION = kvm_request(0x03);
static_assert(KVM_GET_API_VERSION == 0xae00);
static_assert(KVM_CHECK_EXTENSION == 0xae03);

inline constexpr std::uint32_t KVM_CAP_IRQCHIP = 0;
inline constexpr std::uint32_t KVM_CAP_IRQ_ROUTING = 25;
inline constexpr std::uint32_t KVM_CAP_IRQFD = 32;
inline constexpr std::uint32_t KVM_CAP_IOEVENTFD = 36;
inline constexpr std::uint32_t KVM_CAP_SIGNAL_MSI = 77;
inline constexpr std::uint32_t KVM_CAP_IRQFD_RESAMPLE = 82;
inline constexpr std::uint32_t KVM_CAP_DEVICE_CTRL = 89;
inline constexpr std::uint32_t KVM_CAP_SPLIT_IRQCHIP = 121;
inline constexpr std::uint32_t KVM_CAP_IOEVENTFD_ANY_LENGTH = 122;
inline constexpr std::uint32_t KVM_CAP_MSI_DEVID = 131;

struct kvm_enable_cap {
  std::uint32_t cap;
  std::uint32_t flags;
  std::uint64_t args[4];
  std::uint8_t pad[64];
};
static_assert(sizeof(kvm_enable_cap) == 104);
static_assert(offsetof(kvm_enable_cap, args) == 8);

inline constexpr unsigned long KVM_ENABLE_CAP = kvm_request<kvm_enable_cap>(1, 0xa3);

// ---- VM: interrupt controllers and vCPUs.

inline constexpr unsigned long KVM_CREATE_VCPU = kvm_request(0x41);
inline constexpr unsigned long KVM_CREATE_IRQCHIP = kvm_request(0x60);

// x86's controllers, as irqchip routes name them.
inline constexpr std::uint32_t KVM_IRQCHIP_PIC_MASTER = 0;
inline constexpr std::uint32_t KVM_IRQCHIP_PIC_SLAVE = 1;
inline constexpr std::uint32_t KVM_IRQCHIP_IOAPIC = 2;

inline constexpr std::size_t KVM_APIC_REG_SIZE = 0x400;

struct kvm_lapic_state {
  char regs[0x400];
};
static_assert(sizeof(kvm_lapic_state) == KVM_APIC_REG_SIZE);

inline constexpr unsigned long KVM_GET_LAPIC = kvm_request<kvm_lapic_state>(2, 0x8e);
inline constexpr unsigned long KVM_SET_LAPIC = kvm_request<kvm_lapic_state>(1, 0x8f);
static_assert(KVM_GET_LAPIC == 0x8400ae8e);

struct kvm_irq_level {
  union {
    std::uint32_t irq;
    std::int32_t status;
  };
  std::uint32_t level;
};
static_assert(sizeof(kvm_irq_level) == 8);

inline constexpr unsigned long KVM_IRQ_LINE = kvm_request<kvm_irq_level>(1, 0x61);

// ---- VM: routes from a GSI to a controller's pin or to a message.

inline constexpr std::uint32_t KVM_IRQ_ROUTING_IRQCHIP = 1;
inline constexpr std::uint32_t KVM_IRQ_ROUTING_MSI = 2;
inline constexpr std::uint32_t KVM_MSI_VALID_DEVID = 1u << 0;

struct kvm_irq_routing_irqchip {
  std::uint32_t irqchip;
  std::uint32_t pin;
};
static_assert(sizeof(kvm_irq_routing_irqchip) == 8);

struct kvm_irq_routing_msi {
  std::uint32_t address_lo;
  std::uint32_t address_hi;
  std::uint32_t data;
  union {
    std::uint32_t pad;
    std::uint32_t devid;
  };
};
static_assert(sizeof(kvm_irq_routing_msi) == 16);

struct kvm_irq_routing_entry {
  std::uint32_t gsi;
  std::uint32_t type;
  std::uint32_t flags;
  std::uint32_t pad;
  union {
    kvm_irq_routing_irqchip irqchip;
    kvm_irq_routing_msi msi;
    std::uint32_t words[8];
  } u;
};
static_assert(sizeof(kvm_irq_routing_entry) == 48);
static_assert(offsetof(kvm_irq_routing_entry, u) == 16);

// The entries follow.
struct kvm_irq_routing {
  std::uint32_t nr;
  std::uint32_t flags;
};
static_assert(sizeof(kvm_irq_routing) == 8);

inline constexpr unsigned long KVM_SET_GSI_ROUTING = kvm_request<kvm_irq_routing>(1, 0x6a);

struct kvm_msi {
  std::uint32_t address_lo;
  std::uint32_t address_hi;
  std::uint32_t data;
  std::uint32_t flags;
  std::uint32_t devid;
  std::uint8_t pad[12];
};
static_assert(sizeof(kvm_msi) == 32);

inline constexpr unsigned long KVM_SIGNAL_MSI = kvm_request<kvm_msi>(1, 0xa5);

// ---- VM: eventfds to interrupts, and guest writes to eventfds.

inline constexpr std::uint32_t KVM_IRQFD_FLAG_DEASSIGN = 1u << 0;
inline constexpr std::uint32_t KVM_IRQFD_FLAG_RESAMPLE = 1u << 1;

struct kvm_irqfd {
  std::uint32_t fd;
  std::uint32_t gsi;
  std::uint32_t flags;
  std::uint32_t resamplefd;
  std::uint8_t pad[16];
};
static_assert(sizeof(kvm_irqfd) == 32);

inline constexpr unsigned long KVM_IRQFD = kvm_request<kvm_irqfd>(1, 0x76);
static_assert(KVM_IRQFD == 0x4020ae76);

inline constexpr std::uint32_t KVM_IOEVENTFD_FLAG_DATAMATCH = 1u << 0;
inline constexpr std::uint32_t KVM_IOEVENTFD_FLAG_PIO = 1u << 1;
inline constexpr std::uint32_t KVM_IOEVENTFD_FLAG_DEASSIGN = 1u << 2;

struct kvm_ioeventfd {
  std::uint64_t datamatch;
  std::uint64_t addr;
  std::uint32_t len;
  std::int32_t fd;
  std::uint32_t flags;
  std::uint8_t pad[36];
};
static_assert(sizeof(kvm_ioeventfd) == 64);
static_assert(offsetof(kvm_ioeventfd, fd) == 20);

inline constexpr unsigned long KVM_IOEVENTFD = kvm_request<kvm_ioeventfd>(1, 0x79);

// ---- VM: devices of KVM's own, of which one tells it of VFIO's files (Documentation/virt/kvm/devices/vfio.rst).

inline constexpr std::uint32_t KVM_DEV_TYPE_VFIO = 4;
inline constexpr std::uint32_t KVM_DEV_VFIO_FILE = 1;
inline constexpr std::uint64_t KVM_DEV_VFIO_FILE_ADD = 1;
inline constexpr std::uint64_t KVM_DEV_VFIO_FILE_DEL = 2;

struct kvm_create_device {
  std::uint32_t type;
  std::uint32_t fd;
  std::uint32_t flags;
};
static_assert(sizeof(kvm_create_device) == 12);

struct kvm_device_attr {
  std::uint32_t flags;
  std::uint32_t group;
  std::uint64_t attr;
  std::uint64_t addr;
};
static_assert(sizeof(kvm_device_attr) == 24);

inline constexpr unsigned long KVM_CREATE_DEVICE = kvm_request<kvm_create_device>(3, 0xe0);
inline constexpr unsigned long KVM_SET_DEVICE_ATTR = kvm_request<kvm_device_attr>(1, 0xe1);
inline constexpr unsigned long KVM_HAS_DEVICE_ATTR = kvm_request<kvm_device_attr>(1, 0xe3);

}  // namespace vfio::uapi

#endif  // VFIO_NATIVE_UAPI_KVM_H_
