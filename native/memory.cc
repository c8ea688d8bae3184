// Memory of this process: mapped, advised, locked, and shown to JavaScript.
#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "bind.h"

namespace vfio {
namespace {

// Maps at an address that is congruent to the file's offset modulo `alignment` (a power of two): the kernel can then
// use huge page table entries, for huge pages and for a BAR (whose offset in a device's file is congruent to its
// physical address). 0 leaves the address to the kernel.
void* map_aligned(std::size_t length, int prot, int flags, int fd, off_t offset, std::size_t alignment) {
  const auto page = static_cast<std::size_t>(sysconf(_SC_PAGESIZE));
  if (alignment <= page) return mmap(nullptr, length, prot, flags, fd, offset);
  // Reserve more than needed, place the mapping on the aligned part, give back the rest.
  const std::size_t whole = length + alignment;
  auto* reserved =
      static_cast<std::uint8_t*>(mmap(nullptr, whole, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0));
  if (reserved == MAP_FAILED) return MAP_FAILED;
  const auto start = reinterpret_cast<std::uintptr_t>(reserved);
  auto* aligned = reserved + ((static_cast<std::uintptr_t>(offset) - start) & (alignment - 1));
  void* mapped = mmap(aligned, length, prot, flags | MAP_FIXED, fd, offset);
  if (mapped == MAP_FAILED) {
    const int saved = errno;
    munmap(reserved, whole);
    errno = saved;
    return MAP_FAILED;
  }
  const std::size_t rounded = (length + page - 1) & ~(page - 1);
  if (aligned > reserved) munmap(reserved, static_cast<std::size_t>(aligned - reserved));
  std::uint8_t* end = aligned + rounded;
  std::uint8_t* reserved_end = reserved + whole;
  if (end < reserved_end) munmap(end, static_cast<std::size_t>(reserved_end - end));
  return mapped;
}

// A handle for the mapping, or -errno. The handle's collection does not unmap: see Mapping.
Napi::Value memory_map(Napi::Env env, std::uint64_t length, std::uint32_t prot, std::uint32_t flags, Fd fd,
                       std::uint64_t offset, std::uint64_t alignment) {
  void* address = map_aligned(length, static_cast<int>(prot), static_cast<int>(flags), fd.value,
                              static_cast<off_t>(offset), alignment);
  if (address == MAP_FAILED) return to_js(env, -static_cast<std::int64_t>(errno));
  auto* mapping = new Mapping();
  mapping->address = static_cast<std::uint8_t*>(address);
  mapping->length = length;
  State::of(env).own_mapping(mapping);
  return Napi::External<Mapping>::New(env, mapping, [](Napi::Env, Mapping* collected) {
    if (collected->address == nullptr) delete collected;
  });
}

std::int64_t memory_unmap(Napi::Env env, Mapping* mapping) {
  if (mapping->address == nullptr) return -EBADF;
  const int status = munmap(mapping->address, mapping->length);
  if (status < 0) return result(status);
  State::of(env).disown_mapping(mapping);
  mapping->address = nullptr;
  mapping->length = 0;
  return 0;
}

// User addresses are below 2^47 (2^56 with five-level tables only when asked for): always a safe integer.
std::int64_t memory_address(Mapping* mapping) {
  return mapping->address == nullptr ? -EBADF
                                     : static_cast<std::int64_t>(reinterpret_cast<std::uintptr_t>(mapping->address));
}

bool within(const Mapping& mapping, std::uint64_t offset, std::uint64_t length) {
  return mapping.address != nullptr && offset <= mapping.length && length <= mapping.length - offset;
}

// An ArrayBuffer over part of a mapping. It does not own the memory: the caller detaches it before it unmaps.
Napi::Value memory_array_buffer(Napi::Env env, Mapping* mapping, std::uint64_t offset, std::uint64_t length) {
  if (!within(*mapping, offset, length)) return to_js(env, std::int64_t{-EINVAL});
  napi_value buffer = nullptr;
  const napi_status status =
      napi_create_external_arraybuffer(env, mapping->address + offset, length, nullptr, nullptr, &buffer);
  if (status == napi_no_external_buffers_allowed) return to_js(env, std::int64_t{-ENOSYS});
  if (status != napi_ok) {
    // A length beyond the engine's limit (4 GiB on Node 20) leaves a RangeError pending.
    bool pending = false;
    napi_is_exception_pending(env, &pending);
    if (pending) {
      napi_value ignored = nullptr;
      napi_get_and_clear_last_exception(env, &ignored);
    }
    return to_js(env, std::int64_t{-E2BIG});
  }
  return {env, buffer};
}

// 0, or -EBUSY when somebody moved the memory out of the buffer (ArrayBuffer.prototype.transfer): it is then reachable
// through an object that nobody here can detach, and must not be unmapped.
std::int64_t memory_detach(Napi::ArrayBuffer buffer) {
  if (buffer.IsDetached()) return -EBUSY;
  buffer.Detach();
  return 0;
}

std::int64_t memory_advise(Mapping* mapping, std::uint64_t offset, std::uint64_t length, std::int32_t advice) {
  if (!within(*mapping, offset, length)) return -EINVAL;
  return result(madvise(mapping->address + offset, length, advice));
}

std::int64_t memory_lock(Mapping* mapping, std::uint64_t offset, std::uint64_t length) {
  if (!within(*mapping, offset, length)) return -EINVAL;
  return result(mlock(mapping->address + offset, length));
}

std::int64_t memory_page_size() { return sysconf(_SC_PAGESIZE); }

NewFd memory_memfd(std::string name, std::uint32_t flags) {
  const int fd = memfd_create(name.c_str(), flags | MFD_CLOEXEC);
  return {fd < 0 ? -errno : fd};
}

}  // namespace

void bind_memory(Napi::Object exports) {
  bind<memory_map>(exports, "mmap");
  bind<memory_unmap>(exports, "munmap");
  bind<memory_address>(exports, "mappingAddress");
  bind<memory_array_buffer>(exports, "mappingArrayBuffer");
  bind<memory_detach>(exports, "detachArrayBuffer");
  bind<memory_advise>(exports, "madvise");
  bind<memory_lock>(exports, "mlock");
  bind<memory_memfd>(exports, "memfdCreate");
  bind<memory_page_size>(exports, "pageSize");
}

}  // namespace vfio
