// The legacy door: container (/dev/vfio/vfio, or /dev/iommu in its compatibility mode) and group (/dev/vfio/N).
#include <sys/ioctl.h>

#include "info.h"
#include "uapi/vfio.h"

namespace vfio {
namespace {

using namespace uapi;

std::int64_t get_api_version(Fd container) { return result(ioctl(container.value, VFIO_GET_API_VERSION)); }

std::int64_t check_extension(Fd container, std::uint32_t extension) {
  return result(ioctl(container.value, VFIO_CHECK_EXTENSION, static_cast<unsigned long>(extension)));
}

std::int64_t set_iommu(Fd container, std::uint32_t type) {
  return result(ioctl(container.value, VFIO_SET_IOMMU, static_cast<unsigned long>(type)));
}

Napi::Value iommu_get_info(Napi::Env env, Fd container, std::uint32_t argsz) {
  return info_request(env, container, VFIO_IOMMU_GET_INFO, vfio_iommu_type1_info{}, argsz,
                      [env](Napi::Object info, const vfio_iommu_type1_info& head) {
                        info.Set("iovaPgsizes", Napi::BigInt::New(env, head.iova_pgsizes));
                        info.Set("capOffset", Napi::Number::New(env, head.cap_offset));
                      });
}

std::int64_t iommu_map_dma(Fd container, std::uint32_t flags, std::uint64_t vaddr, std::uint64_t iova,
                           std::uint64_t size) {
  vfio_iommu_type1_dma_map map{};
  map.argsz = sizeof(map);
  map.flags = flags;
  map.vaddr = vaddr;
  map.iova = iova;
  map.size = size;
  return result(ioctl(container.value, VFIO_IOMMU_MAP_DMA, &map));
}

// Many maps in one crossing. The batch is 64-bit words: the first is for the errno of the map that failed, then four a
// map: flags, vaddr, IOVA, size. Returns how many were made, and stops at the first that fails.
std::int64_t iommu_map_dma_batch(Fd container, Bytes batch, std::uint32_t count) {
  if (batch.length < sizeof(std::uint64_t) * (1 + 4 * static_cast<std::uint64_t>(count))) return -EINVAL;
  auto* words = reinterpret_cast<std::uint64_t*>(batch.data);
  words[0] = 0;
  for (std::uint32_t i = 0; i < count; ++i) {
    const std::uint64_t* map = words + 1 + 4 * static_cast<std::size_t>(i);
    const std::int64_t status = iommu_map_dma(container, static_cast<std::uint32_t>(map[0]), map[1], map[2], map[3]);
    if (status < 0) {
      words[0] = static_cast<std::uint64_t>(-status);
      return i;
    }
  }
  return count;
}

// How many bytes were unmapped: type1 may remove fewer or more than were asked for.
U64OrErrno iommu_unmap_dma(Fd container, std::uint32_t flags, std::uint64_t iova, std::uint64_t size) {
  vfio_iommu_type1_dma_unmap unmap{};
  unmap.argsz = sizeof(unmap);
  unmap.flags = flags;
  unmap.iova = iova;
  unmap.size = size;
  if (ioctl(container.value, VFIO_IOMMU_UNMAP_DMA, &unmap) < 0) return {0, errno};
  return {unmap.size, 0};
}

// For the thread pool, which answers plain numbers. One mapping's length always is one.
std::int64_t iommu_unmap_dma_one(Fd container, std::uint64_t iova, std::uint64_t size) {
  const U64OrErrno unmapped = iommu_unmap_dma(container, 0, iova, size);
  return unmapped.error != 0 ? -static_cast<std::int64_t>(unmapped.error) : static_cast<std::int64_t>(unmapped.value);
}

// As iommu_unmap_dma, with the dirty bitmap of the range that goes: one bit a page of `page_size` bytes, in 64-bit
// words.
U64OrErrno iommu_unmap_dma_dirty(Fd container, std::uint64_t iova, std::uint64_t size, std::uint64_t page_size,
                                 Bytes bitmap) {
  struct {
    vfio_iommu_type1_dma_unmap unmap;
    vfio_bitmap bitmap;
  } request{};
  request.unmap.argsz = sizeof(request);
  request.unmap.flags = VFIO_DMA_UNMAP_FLAG_GET_DIRTY_BITMAP;
  request.unmap.iova = iova;
  request.unmap.size = size;
  request.bitmap.pgsize = page_size;
  request.bitmap.size = bitmap.length;
  request.bitmap.data = reinterpret_cast<std::uint64_t*>(bitmap.data);
  if (ioctl(container.value, VFIO_IOMMU_UNMAP_DMA, &request) < 0) return {0, errno};
  return {request.unmap.size, 0};
}

std::int64_t iommu_dirty_pages(Fd container, std::uint32_t flags) {
  vfio_iommu_type1_dirty_bitmap request{};
  request.argsz = sizeof(request);
  request.flags = flags;
  return result(ioctl(container.value, VFIO_IOMMU_DIRTY_PAGES, &request));
}

std::int64_t iommu_dirty_pages_get(Fd container, std::uint64_t iova, std::uint64_t size, std::uint64_t page_size,
                                   Bytes bitmap) {
  struct {
    vfio_iommu_type1_dirty_bitmap head;
    vfio_iommu_type1_dirty_bitmap_get get;
  } request{};
  request.head.argsz = sizeof(request);
  request.head.flags = VFIO_IOMMU_DIRTY_PAGES_FLAG_GET_BITMAP;
  request.get.iova = iova;
  request.get.size = size;
  request.get.bitmap.pgsize = page_size;
  request.get.bitmap.size = bitmap.length;
  request.get.bitmap.data = reinterpret_cast<std::uint64_t*>(bitmap.data);
  return result(ioctl(container.value, VFIO_IOMMU_DIRTY_PAGES, &request));
}

// The group's VFIO_GROUP_FLAGS_*.
std::int64_t group_get_status(Fd group) {
  vfio_group_status status{};
  status.argsz = sizeof(status);
  const int error = ioctl(group.value, VFIO_GROUP_GET_STATUS, &status);
  return error < 0 ? result(error) : static_cast<std::int64_t>(status.flags);
}

std::int64_t group_set_container(Fd group, Fd container) {
  return result(ioctl(group.value, VFIO_GROUP_SET_CONTAINER, &container.value));
}

std::int64_t group_unset_container(Fd group) { return result(ioctl(group.value, VFIO_GROUP_UNSET_CONTAINER)); }

// The kernel opens the device with O_CLOEXEC.
NewFd group_get_device_fd(Fd group, std::string name) {
  const int fd = ioctl(group.value, VFIO_GROUP_GET_DEVICE_FD, name.c_str());
  return {fd < 0 ? -errno : fd};
}

}  // namespace

void bind_vfio_container(Napi::Object exports) {
  bind<get_api_version>(exports, "vfioGetApiVersion");
  bind<check_extension>(exports, "vfioCheckExtension");
  bind<set_iommu>(exports, "vfioSetIommu");
  bind<iommu_get_info>(exports, "vfioIommuGetInfo");
  bind<iommu_map_dma>(exports, "vfioIommuMapDma");
  bind_async<iommu_map_dma>(exports, "vfioIommuMapDmaAsync");
  bind<iommu_map_dma_batch>(exports, "vfioIommuMapDmaBatch");
  bind<iommu_unmap_dma>(exports, "vfioIommuUnmapDma");
  bind_async<iommu_unmap_dma_one>(exports, "vfioIommuUnmapDmaAsync");
  bind<iommu_unmap_dma_dirty>(exports, "vfioIommuUnmapDmaDirty");
  bind<iommu_dirty_pages>(exports, "vfioIommuDirtyPages");
  bind<iommu_dirty_pages_get>(exports, "vfioIommuDirtyPagesGet");
  bind<group_get_status>(exports, "vfioGroupGetStatus");
  bind<group_set_container>(exports, "vfioGroupSetContainer");
  bind<group_unset_container>(exports, "vfioGroupUnsetContainer");
  bind<group_get_device_fd>(exports, "vfioGroupGetDeviceFd");
}

}  // namespace vfio
