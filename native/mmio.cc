// A device's registers: each call is exactly one access, of exactly the width asked for.
//
// JavaScript's own views cannot promise that: the engine merges, drops and splits plain loads and stores, and turns
// Atomics.store into a locked exchange.
#include "bind.h"

namespace vfio {

// A number and no bigint: where a register is, in a region of any size.
struct Offset {
  std::uint64_t value;
};

template <>
struct Arg<Offset> {
  static constexpr const char* expected = "an offset: a safe integer";
  static bool read(napi_env env, napi_value value, Offset* out) {
    return read_integer(env, value, 0.0, 9007199254740991.0, &out->value);
  }
};

namespace {

// Registers and DMA memory are ordered against each other as a driver expects: what was stored to memory before a
// register write (a doorbell) is visible to the device, and what is loaded after a register read is not older than it.
// x86 gives that for uncached memory; arm64 wants to be told.
inline void before_register_write() {
#if defined(__aarch64__)
  asm volatile("dmb oshst" ::: "memory");
#else
  asm volatile("" ::: "memory");
#endif
}

inline void after_register_read() {
#if defined(__aarch64__)
  asm volatile("dmb oshld" ::: "memory");
#else
  asm volatile("" ::: "memory");
#endif
}

// Of the first word of a program's access.
constexpr std::uint32_t kWrite = 0x100;

template <typename T>
inline volatile T* locate(const Mapping& mapping, std::uint64_t offset) {
  if (mapping.address == nullptr || offset % sizeof(T) != 0 || offset > mapping.length ||
      sizeof(T) > mapping.length - offset) {
    return nullptr;
  }
  return reinterpret_cast<volatile T*>(mapping.address + offset);
}

Napi::Value out_of_range(Napi::Env env, const Mapping& mapping, std::uint64_t offset, std::size_t width) {
  if (mapping.address == nullptr) {
    const Napi::Error error = Napi::Error::New(env, "the region is unmapped");
    error.Set("code", Napi::String::New(env, "ERR_INVALID_STATE"));
    error.ThrowAsJavaScriptException();
    return {};
  }
  const Napi::Error error = Napi::RangeError::New(
      env, "no register of " + std::to_string(width) + " bytes at offset " + std::to_string(offset) +
               ": it must be aligned to its width and lie within the mapped " + std::to_string(mapping.length) +
               " bytes");
  error.Set("code", Napi::String::New(env, "ERR_OUT_OF_RANGE"));
  error.ThrowAsJavaScriptException();
  return {};
}

template <typename T>
Napi::Value mmio_read(Napi::Env env, Mapping* mapping, Offset offset) {
  const volatile T* location = locate<T>(*mapping, offset.value);
  if (location == nullptr) return out_of_range(env, *mapping, offset.value, sizeof(T));
  const T value = *location;
  after_register_read();
  if constexpr (sizeof(T) == 8) {
    return Napi::BigInt::New(env, static_cast<std::uint64_t>(value));
  } else {
    napi_value out = nullptr;
    napi_create_uint32(env, value, &out);
    return {env, out};
  }
}

template <typename T>
Napi::Value mmio_write(Napi::Env env, Mapping* mapping, Offset offset, T value) {
  volatile T* location = locate<T>(*mapping, offset.value);
  if (location == nullptr) return out_of_range(env, *mapping, offset.value, sizeof(T));
  before_register_write();
  *location = value;
  return {};
}

// A program is a sequence of accesses, four words each: width in bytes (bit 8: write), offset, low word, high word.
// What is read replaces the last two. Returns how many accesses were made; one that does not fit ends the program.
//
// All that the loop needs is in locals: behind each access the compiler has to believe that memory has changed.
template <typename T>
inline bool run_access(const Mapping& mapping, std::uint32_t* words) {
  volatile T* location = locate<T>(mapping, words[1]);
  if (location == nullptr) return false;
  if ((words[0] & kWrite) != 0) {
    before_register_write();
    *location = static_cast<T>(words[2] | static_cast<std::uint64_t>(words[3]) << 32);
  } else {
    const std::uint64_t value = *location;
    after_register_read();
    words[2] = static_cast<std::uint32_t>(value);
    words[3] = static_cast<std::uint32_t>(value >> 32);
  }
  return true;
}

std::int64_t mmio_run(Mapping* handle, Bytes program) {
  const Mapping mapping = *handle;
  const std::size_t steps = program.length / (4 * sizeof(std::uint32_t));
  auto* words = reinterpret_cast<std::uint32_t*>(program.data);
  for (std::size_t step = 0; step < steps; ++step, words += 4) {
    bool done = false;
    switch (words[0] & ~kWrite) {
      case 1:
        done = run_access<std::uint8_t>(mapping, words);
        break;
      case 2:
        done = run_access<std::uint16_t>(mapping, words);
        break;
      case 4:
        done = run_access<std::uint32_t>(mapping, words);
        break;
      case 8:
        done = run_access<std::uint64_t>(mapping, words);
        break;
      default:
        break;
    }
    if (!done) return static_cast<std::int64_t>(step);
  }
  return static_cast<std::int64_t>(steps);
}

}  // namespace

void bind_mmio(Napi::Object exports) {
  bind<mmio_read<std::uint8_t>>(exports, "mmioRead8");
  bind<mmio_read<std::uint16_t>>(exports, "mmioRead16");
  bind<mmio_read<std::uint32_t>>(exports, "mmioRead32");
  bind<mmio_read<std::uint64_t>>(exports, "mmioRead64");
  bind<mmio_write<std::uint8_t>>(exports, "mmioWrite8");
  bind<mmio_write<std::uint16_t>>(exports, "mmioWrite16");
  bind<mmio_write<std::uint32_t>>(exports, "mmioWrite32");
  bind<mmio_write<std::uint64_t>>(exports, "mmioWrite64");
  bind<mmio_run>(exports, "mmioRun");
}

}  // namespace vfio
