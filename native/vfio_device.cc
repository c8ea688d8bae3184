// One device: what it has, its interrupts, its resets, its features, and its cdev's way into an iommufd.
#include <sys/ioctl.h>

#include <vector>

#include "info.h"
#include "uapi/vfio.h"

namespace vfio {
namespace {

using namespace uapi;

Napi::Value get_info(Napi::Env env, Fd device, std::uint32_t argsz) {
  return info_request(env, device, VFIO_DEVICE_GET_INFO, vfio_device_info{}, argsz,
                      [env](Napi::Object info, const vfio_device_info& head) {
                        info.Set("numRegions", Napi::Number::New(env, head.num_regions));
                        info.Set("numIrqs", Napi::Number::New(env, head.num_irqs));
                        info.Set("capOffset", Napi::Number::New(env, head.cap_offset));
                      });
}

Napi::Value get_region_info(Napi::Env env, Fd device, std::uint32_t index, std::uint32_t argsz) {
  vfio_region_info request{};
  request.index = index;
  return info_request(env, device, VFIO_DEVICE_GET_REGION_INFO, request, argsz,
                      [env](Napi::Object info, const vfio_region_info& head) {
                        info.Set("capOffset", Napi::Number::New(env, head.cap_offset));
                        info.Set("size", Napi::BigInt::New(env, head.size));
                        info.Set("offset", Napi::BigInt::New(env, head.offset));
                      });
}

Napi::Value get_irq_info(Napi::Env env, Fd device, std::uint32_t index) {
  vfio_irq_info request{};
  request.index = index;
  return info_request(
      env, device, VFIO_DEVICE_GET_IRQ_INFO, request, sizeof(request),
      [env](Napi::Object info, const vfio_irq_info& head) { info.Set("count", Napi::Number::New(env, head.count)); });
}

// `data` is what the flags say: nothing, one byte a vector (BOOL), or one 32-bit descriptor a vector (EVENTFD, -1 for
// none). Returns 0, or a number of vectors when MSI could not have as many as asked for: that is not success.
std::int64_t set_irqs(Fd device, std::uint32_t flags, std::uint32_t index, std::uint32_t start, std::uint32_t count,
                      std::optional<Bytes> data) {
  const std::size_t length = data ? data->length : 0;
  std::vector<std::uint8_t> request(sizeof(vfio_irq_set) + length);
  vfio_irq_set head{};
  head.argsz = static_cast<std::uint32_t>(request.size());
  head.flags = flags;
  head.index = index;
  head.start = start;
  head.count = count;
  std::memcpy(request.data(), &head, sizeof(head));
  if (length > 0) std::memcpy(request.data() + sizeof(head), data->data, length);
  return result(ioctl(device.value, VFIO_DEVICE_SET_IRQS, request.data()));
}

std::int64_t reset(Fd device) { return result(ioctl(device.value, VFIO_DEVICE_RESET)); }

// The devices that a hot reset would take along. `room` is for how many of them; the first call is made with 0 and is
// answered ENOSPC and the count.
Napi::Value get_pci_hot_reset_info(Napi::Env env, Fd device, std::uint32_t room) {
  if (room > 65536) return to_js(env, std::int64_t{-EINVAL});
  std::vector<std::uint8_t> request(sizeof(vfio_pci_hot_reset_info) + room * sizeof(vfio_pci_dependent_device));
  vfio_pci_hot_reset_info head{};
  head.argsz = static_cast<std::uint32_t>(request.size());
  std::memcpy(request.data(), &head, sizeof(head));
  const int status = ioctl(device.value, VFIO_DEVICE_GET_PCI_HOT_RESET_INFO, request.data());
  const int error = status < 0 ? errno : 0;
  if (error != 0 && error != ENOSPC) return to_js(env, -static_cast<std::int64_t>(error));
  std::memcpy(&head, request.data(), sizeof(head));
  const Napi::Object info = Napi::Object::New(env);
  info.Set("flags", Napi::Number::New(env, head.flags));
  info.Set("count", Napi::Number::New(env, head.count));
  const Napi::Array devices = Napi::Array::New(env);
  const std::uint32_t filled = error == ENOSPC ? 0 : std::min(head.count, room);
  for (std::uint32_t i = 0; i < filled; ++i) {
    vfio_pci_dependent_device each{};
    std::memcpy(&each, request.data() + sizeof(head) + i * sizeof(each), sizeof(each));
    const Napi::Object entry = Napi::Object::New(env);
    // group_id and devid share the word: info.flags says which it is.
    entry.Set("id", Napi::Number::New(env, each.group_id));
    entry.Set("segment", Napi::Number::New(env, each.segment));
    entry.Set("bus", Napi::Number::New(env, each.bus));
    entry.Set("devfn", Napi::Number::New(env, each.devfn));
    devices.Set(i, entry);
  }
  info.Set("devices", devices);
  return info;
}

// `files` are 32-bit descriptors: one a group for the legacy door, none for a device in an iommufd.
std::int64_t pci_hot_reset(Fd device, Bytes files) {
  std::vector<std::uint8_t> request(sizeof(vfio_pci_hot_reset) + files.length);
  vfio_pci_hot_reset head{};
  head.argsz = static_cast<std::uint32_t>(request.size());
  head.count = static_cast<std::uint32_t>(files.length / sizeof(std::int32_t));
  std::memcpy(request.data(), &head, sizeof(head));
  if (files.length > 0) std::memcpy(request.data() + sizeof(head), files.data, files.length);
  return result(ioctl(device.value, VFIO_DEVICE_PCI_HOT_RESET, request.data()));
}

std::int64_t device_ioeventfd(Fd device, std::uint32_t flags, std::uint64_t offset, std::uint64_t data, Fd eventfd) {
  vfio_device_ioeventfd request{};
  request.argsz = sizeof(request);
  request.flags = flags;
  request.offset = offset;
  request.data = data;
  request.fd = eventfd.value;
  return result(ioctl(device.value, VFIO_DEVICE_IOEVENTFD, &request));
}

// `data` is the feature's structure: the kernel reads it and writes its answer into it, for a SET too (the descriptor
// of MIG_DEVICE_STATE, the page size of DMA_LOGGING_START). Some features answer a GET with a descriptor, which is the
// result. A descriptor in either place is the caller's to adopt.
std::int64_t device_feature(Fd device, std::uint32_t flags, std::optional<Bytes> data) {
  const std::size_t length = data ? data->length : 0;
  std::vector<std::uint8_t> request(sizeof(vfio_device_feature) + length);
  vfio_device_feature head{};
  head.argsz = static_cast<std::uint32_t>(request.size());
  head.flags = flags;
  std::memcpy(request.data(), &head, sizeof(head));
  if (length > 0) std::memcpy(request.data() + sizeof(head), data->data, length);
  const std::int64_t status = result(ioctl(device.value, VFIO_DEVICE_FEATURE, request.data()));
  if (length > 0) std::memcpy(data->data, request.data() + sizeof(head), length);
  return status;
}

// The device's id in the iommufd. `token` is a VF token's 16 bytes, or nothing.
std::int64_t device_bind_iommufd(Fd device, Fd iommufd, std::optional<Bytes> token) {
  if (token && token->length != 16) return -EINVAL;
  vfio_device_bind_iommufd request{};
  request.argsz = sizeof(request);
  request.iommufd = iommufd.value;
  if (token) {
    request.flags = VFIO_DEVICE_BIND_FLAG_TOKEN;
    request.token_uuid_ptr = reinterpret_cast<std::uintptr_t>(token->data);
  } else {
    // Kernels older than the token take the first 16 bytes only.
    request.argsz = offsetof(vfio_device_bind_iommufd, token_uuid_ptr);
  }
  const int status = ioctl(device.value, VFIO_DEVICE_BIND_IOMMUFD, &request);
  return status < 0 ? result(status) : static_cast<std::int64_t>(request.out_devid);
}

// The page table that the device came to use: for an IOAS, the HWPT that the kernel chose or made.
std::int64_t attach_iommufd_pt(Fd device, std::uint32_t pt_id) {
  vfio_device_attach_iommufd_pt request{};
  // Kernels older than PASID attach take the first 12 bytes only.
  request.argsz = offsetof(vfio_device_attach_iommufd_pt, pasid);
  request.pt_id = pt_id;
  const int status = ioctl(device.value, VFIO_DEVICE_ATTACH_IOMMUFD_PT, &request);
  return status < 0 ? result(status) : static_cast<std::int64_t>(request.pt_id);
}

std::int64_t detach_iommufd_pt(Fd device) {
  vfio_device_detach_iommufd_pt request{};
  request.argsz = offsetof(vfio_device_detach_iommufd_pt, pasid);
  return result(ioctl(device.value, VFIO_DEVICE_DETACH_IOMMUFD_PT, &request));
}

}  // namespace

void bind_vfio_device(Napi::Object exports) {
  bind<get_info>(exports, "vfioDeviceGetInfo");
  bind<get_region_info>(exports, "vfioDeviceGetRegionInfo");
  bind<get_irq_info>(exports, "vfioDeviceGetIrqInfo");
  bind<set_irqs>(exports, "vfioDeviceSetIrqs");
  bind<reset>(exports, "vfioDeviceReset");
  bind_async<reset>(exports, "vfioDeviceResetAsync");
  bind<get_pci_hot_reset_info>(exports, "vfioDeviceGetPciHotResetInfo");
  bind<pci_hot_reset>(exports, "vfioDevicePciHotReset");
  bind<device_ioeventfd>(exports, "vfioDeviceIoeventfd");
  bind<device_feature>(exports, "vfioDeviceFeature");
  bind<device_bind_iommufd>(exports, "vfioDeviceBindIommufd");
  bind<attach_iommufd_pt>(exports, "vfioDeviceAttachIommufdPt");
  bind<detach_iommufd_pt>(exports, "vfioDeviceDetachIommufdPt");
}

}  // namespace vfio
