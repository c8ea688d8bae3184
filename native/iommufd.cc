// iommufd: objects, I/O address spaces and what is mapped in them.
#include "uapi/iommufd.h"

#include <sys/ioctl.h>

#include <cstring>

#include "bind.h"

namespace vfio {
namespace {

using namespace uapi;

std::int64_t destroy(Fd iommufd, std::uint32_t id) {
  iommu_destroy request{};
  request.size = sizeof(request);
  request.id = id;
  return result(ioctl(iommufd.value, IOMMU_DESTROY, &request));
}

std::int64_t ioas_alloc(Fd iommufd) {
  iommu_ioas_alloc request{};
  request.size = sizeof(request);
  const int status = ioctl(iommufd.value, IOMMU_IOAS_ALLOC, &request);
  return status < 0 ? result(status) : static_cast<std::int64_t>(request.out_ioas_id);
}

// Fills `ranges` (pairs of 64-bit words: first and last IOVA). EMSGSIZE means that there are more; the count says how
// many. Always an object, because that refusal carries the answer.
Napi::Value ioas_iova_ranges(Napi::Env env, Fd iommufd, std::uint32_t ioas, Bytes ranges) {
  iommu_ioas_iova_ranges request{};
  request.size = sizeof(request);
  request.ioas_id = ioas;
  request.num_iovas = static_cast<std::uint32_t>(ranges.length / sizeof(iommu_iova_range));
  request.allowed_iovas = reinterpret_cast<std::uintptr_t>(ranges.data);
  const int status = ioctl(iommufd.value, IOMMU_IOAS_IOVA_RANGES, &request);
  const Napi::Object answer = Napi::Object::New(env);
  answer.Set("status", to_js(env, status < 0 ? result(status) : 0));
  answer.Set("count", Napi::Number::New(env, request.num_iovas));
  answer.Set("alignment", Napi::BigInt::New(env, request.out_iova_alignment));
  return answer;
}

std::int64_t ioas_allow_iovas(Fd iommufd, std::uint32_t ioas, Bytes ranges) {
  iommu_ioas_allow_iovas request{};
  request.size = sizeof(request);
  request.ioas_id = ioas;
  request.num_iovas = static_cast<std::uint32_t>(ranges.length / sizeof(iommu_iova_range));
  request.allowed_iovas = reinterpret_cast<std::uintptr_t>(ranges.data);
  return result(ioctl(iommufd.value, IOMMU_IOAS_ALLOW_IOVAS, &request));
}

// The IOVA: the one given with FIXED_IOVA, else the kernel's choice.
U64OrErrno ioas_map(Fd iommufd, std::uint32_t flags, std::uint32_t ioas, std::uint64_t vaddr, std::uint64_t iova,
                    std::uint64_t length) {
  iommu_ioas_map request{};
  request.size = sizeof(request);
  request.flags = flags;
  request.ioas_id = ioas;
  request.user_va = vaddr;
  request.length = length;
  request.iova = iova;
  if (ioctl(iommufd.value, IOMMU_IOAS_MAP, &request) < 0) return {0, errno};
  return {request.iova, 0};
}

U64OrErrno ioas_map_file(Fd iommufd, std::uint32_t flags, std::uint32_t ioas, Fd file, std::uint64_t start,
                         std::uint64_t iova, std::uint64_t length) {
  iommu_ioas_map_file request{};
  request.size = sizeof(request);
  request.flags = flags;
  request.ioas_id = ioas;
  request.fd = file.value;
  request.start = start;
  request.length = length;
  request.iova = iova;
  if (ioctl(iommufd.value, IOMMU_IOAS_MAP_FILE, &request) < 0) return {0, errno};
  return {request.iova, 0};
}

// Fixed-address maps whose answer is only 0 or -errno, for the thread pool.
std::int64_t ioas_map_fixed(Fd iommufd, std::uint32_t flags, std::uint32_t ioas, std::uint64_t vaddr,
                            std::uint64_t iova, std::uint64_t length) {
  const U64OrErrno mapped = ioas_map(iommufd, flags | IOMMU_IOAS_MAP_FIXED_IOVA, ioas, vaddr, iova, length);
  return -static_cast<std::int64_t>(mapped.error);
}

std::int64_t ioas_map_file_fixed(Fd iommufd, std::uint32_t flags, std::uint32_t ioas, std::int32_t file,
                                 std::uint64_t start, std::uint64_t iova, std::uint64_t length) {
  const U64OrErrno mapped =
      ioas_map_file(iommufd, flags | IOMMU_IOAS_MAP_FIXED_IOVA, ioas, Fd{file}, start, iova, length);
  return -static_cast<std::int64_t>(mapped.error);
}

// Many maps in one crossing. The batch is 64-bit words: the first is for the errno of the map that failed, then four a
// map: flags (and, in the upper half, the file's descriptor plus one, or 0 for a map of memory), address or offset in
// the file, IOVA, length. Returns how many were made, and stops at the first that fails.
std::int64_t ioas_map_batch(Fd iommufd, std::uint32_t ioas, Bytes batch, std::uint32_t count) {
  if (batch.length < sizeof(std::uint64_t) * (1 + 4 * static_cast<std::uint64_t>(count))) return -EINVAL;
  auto* words = reinterpret_cast<std::uint64_t*>(batch.data);
  words[0] = 0;
  for (std::uint32_t i = 0; i < count; ++i) {
    const std::uint64_t* map = words + 1 + 4 * static_cast<std::size_t>(i);
    const auto flags = static_cast<std::uint32_t>(map[0]);
    const auto file = static_cast<std::uint32_t>(map[0] >> 32);
    const U64OrErrno mapped =
        file == 0 ? ioas_map(iommufd, flags, ioas, map[1], map[2], map[3])
                  : ioas_map_file(iommufd, flags, ioas, Fd{static_cast<int>(file - 1)}, map[1], map[2], map[3]);
    if (mapped.error != 0) {
      words[0] = static_cast<std::uint64_t>(mapped.error);
      return i;
    }
  }
  return count;
}

U64OrErrno ioas_copy(Fd iommufd, std::uint32_t flags, std::uint32_t to_ioas, std::uint32_t from_ioas,
                     std::uint64_t to_iova, std::uint64_t from_iova, std::uint64_t length) {
  iommu_ioas_copy request{};
  request.size = sizeof(request);
  request.flags = flags;
  request.dst_ioas_id = to_ioas;
  request.src_ioas_id = from_ioas;
  request.length = length;
  request.dst_iova = to_iova;
  request.src_iova = from_iova;
  if (ioctl(iommufd.value, IOMMU_IOAS_COPY, &request) < 0) return {0, errno};
  return {request.dst_iova, 0};
}

// How many bytes were unmapped.
U64OrErrno ioas_unmap(Fd iommufd, std::uint32_t ioas, std::uint64_t iova, std::uint64_t length) {
  iommu_ioas_unmap request{};
  request.size = sizeof(request);
  request.ioas_id = ioas;
  request.iova = iova;
  request.length = length;
  if (ioctl(iommufd.value, IOMMU_IOAS_UNMAP, &request) < 0) return {0, errno};
  return {request.length, 0};
}

// For the thread pool, which answers plain numbers. One mapping's length always is one.
std::int64_t ioas_unmap_one(Fd iommufd, std::uint32_t ioas, std::uint64_t iova, std::uint64_t length) {
  const U64OrErrno unmapped = ioas_unmap(iommufd, ioas, iova, length);
  return unmapped.error != 0 ? -static_cast<std::int64_t>(unmapped.error) : static_cast<std::int64_t>(unmapped.value);
}

// The option's value for a get, 0 for a set.
std::int64_t option(Fd iommufd, std::uint32_t option_id, std::uint32_t operation, std::uint32_t object,
                    std::uint64_t value) {
  iommu_option request{};
  request.size = sizeof(request);
  request.option_id = option_id;
  request.op = static_cast<std::uint16_t>(operation);
  request.object_id = object;
  request.val64 = value;
  const int status = ioctl(iommufd.value, IOMMU_OPTION, &request);
  if (status < 0) return result(status);
  return operation == IOMMU_OPTION_OP_GET ? static_cast<std::int64_t>(request.val64) : 0;
}

// The IOAS that the compatibility container uses, for a get; else 0.
std::int64_t vfio_ioas(Fd iommufd, std::uint32_t operation, std::uint32_t ioas) {
  iommu_vfio_ioas request{};
  request.size = sizeof(request);
  request.ioas_id = ioas;
  request.op = static_cast<std::uint16_t>(operation);
  const int status = ioctl(iommufd.value, IOMMU_VFIO_IOAS, &request);
  if (status < 0) return result(status);
  return operation == IOMMU_VFIO_IOAS_GET ? static_cast<std::int64_t>(request.ioas_id) : 0;
}

std::int64_t ioas_change_process(Fd iommufd) {
  iommu_ioas_change_process request{};
  request.size = sizeof(request);
  return result(ioctl(iommufd.value, IOMMU_IOAS_CHANGE_PROCESS, &request));
}

}  // namespace

void bind_iommufd(Napi::Object exports) {
  bind<destroy>(exports, "iommufdDestroy");
  bind<ioas_alloc>(exports, "iommufdIoasAlloc");
  bind<ioas_iova_ranges>(exports, "iommufdIoasIovaRanges");
  bind<ioas_allow_iovas>(exports, "iommufdIoasAllowIovas");
  bind<ioas_map>(exports, "iommufdIoasMap");
  bind_async<ioas_map_fixed>(exports, "iommufdIoasMapFixedAsync");
  bind<ioas_map_file>(exports, "iommufdIoasMapFile");
  bind_async<ioas_map_file_fixed>(exports, "iommufdIoasMapFileFixedAsync");
  bind<ioas_map_batch>(exports, "iommufdIoasMapBatch");
  bind<ioas_copy>(exports, "iommufdIoasCopy");
  bind<ioas_unmap>(exports, "iommufdIoasUnmap");
  bind_async<ioas_unmap_one>(exports, "iommufdIoasUnmapAsync");
  bind<option>(exports, "iommufdOption");
  bind<vfio_ioas>(exports, "iommufdVfioIoas");
  bind<ioas_change_process>(exports, "iommufdIoasChangeProcess");
}

}  // namespace vfio
