// From a plain C++ function to a JavaScript one.
//
// A shim is an ordinary function whose signature is its documentation:
//
//   std::int64_t vfio_iommu_map_dma(Fd container, std::uint32_t flags, std::uint64_t vaddr, ...)
//
// `bind<shim>` reads the arguments by type, calls it, and turns the result into a JavaScript value. A shim returns a
// value >= 0 or -errno; what is thrown (a TypeError or a RangeError) is a caller's mistake in this package, never the
// kernel's answer. There are no C++ exceptions here (-fno-exceptions), so none can cross Node-API.
#pragma once

#include <fcntl.h>
#include <napi.h>
#include <unistd.h>

#include <cerrno>
#include <cmath>
#include <cstdint>
#include <optional>
#include <string>
#include <tuple>
#include <type_traits>
#include <utility>

#include "state.h"

namespace vfio {

// A descriptor that the shim borrows.
struct Fd {
  int value;
};

// A descriptor that the shim made (or -errno): entered in the environment's state before JavaScript sees it.
struct NewFd {
  int value;
};

// Bytes that belong to the caller, valid during the call.
struct Bytes {
  std::uint8_t* data;
  std::size_t length;
};

// An unsigned 64-bit result that may be any value: a number up to 2^53, a bigint above, or -errno.
struct U64OrErrno {
  std::uint64_t value;
  int error;  // 0, or a positive errno
};

// The value of a system call in the kernel's own convention.
template <typename T>
inline std::int64_t result(T value) {
  return value < 0 ? -static_cast<std::int64_t>(errno) : static_cast<std::int64_t>(value);
}

// ---- arguments ------------------------------------------------------------------------------------------------------

template <typename T>
struct Arg;

template <typename T>
inline bool read_integer(napi_env env, napi_value value, double low, double high, T* out) {
  double number = 0;
  if (napi_get_value_double(env, value, &number) != napi_ok) return false;
  if (!(number >= low && number <= high) || number != std::trunc(number)) return false;
  *out = static_cast<T>(number);
  return true;
}

template <>
struct Arg<std::int32_t> {
  static constexpr const char* expected = "a signed 32-bit integer";
  static bool read(napi_env env, napi_value value, std::int32_t* out) {
    return read_integer(env, value, -2147483648.0, 2147483647.0, out);
  }
};

template <>
struct Arg<Fd> {
  static constexpr const char* expected = "a file descriptor";
  static bool read(napi_env env, napi_value value, Fd* out) {
    return read_integer(env, value, -1.0, 2147483647.0, &out->value);
  }
};

template <>
struct Arg<std::uint32_t> {
  static constexpr const char* expected = "an unsigned 32-bit integer";
  static bool read(napi_env env, napi_value value, std::uint32_t* out) {
    return read_integer(env, value, 0.0, 4294967295.0, out);
  }
};

template <>
struct Arg<std::uint64_t> {
  static constexpr const char* expected = "an unsigned 64-bit integer (a safe integer or a bigint)";
  static bool read(napi_env env, napi_value value, std::uint64_t* out) {
    // Numbers first: a bigint costs about 20 ns more to read.
    double number = 0;
    if (napi_get_value_double(env, value, &number) == napi_ok) {
      if (!(number >= 0.0 && number <= 9007199254740991.0) || number != std::trunc(number)) return false;
      *out = static_cast<std::uint64_t>(number);
      return true;
    }
    bool lossless = false;
    return napi_get_value_bigint_uint64(env, value, out, &lossless) == napi_ok && lossless;
  }
};

template <>
struct Arg<bool> {
  static constexpr const char* expected = "a boolean";
  static bool read(napi_env env, napi_value value, bool* out) {
    return napi_get_value_bool(env, value, out) == napi_ok;
  }
};

template <>
struct Arg<Bytes> {
  static constexpr const char* expected = "a Uint8Array, another typed array or a DataView";
  static bool read(napi_env env, napi_value value, Bytes* out) {
    const Napi::Value bytes(env, value);
    if (bytes.IsTypedArray()) {
      const auto array = bytes.As<Napi::TypedArray>();
      auto* start = static_cast<std::uint8_t*>(array.ArrayBuffer().Data());
      *out = {start + array.ByteOffset(), array.ByteLength()};
      return true;
    }
    if (bytes.IsDataView()) {
      const auto view = bytes.As<Napi::DataView>();
      *out = {static_cast<std::uint8_t*>(view.Data()), view.ByteLength()};
      return true;
    }
    return false;
  }
};

template <>
struct Arg<std::string> {
  static constexpr const char* expected = "a string";
  static bool read(napi_env env, napi_value value, std::string* out) {
    const Napi::Value text(env, value);
    if (!text.IsString()) return false;
    *out = text.As<Napi::String>().Utf8Value();
    return true;
  }
};

template <>
struct Arg<Napi::Function> {
  static constexpr const char* expected = "a function";
  static bool read(napi_env env, napi_value value, Napi::Function* out) {
    const Napi::Value function(env, value);
    if (!function.IsFunction()) return false;
    *out = function.As<Napi::Function>();
    return true;
  }
};

template <>
struct Arg<Napi::ArrayBuffer> {
  static constexpr const char* expected = "an ArrayBuffer";
  static bool read(napi_env env, napi_value value, Napi::ArrayBuffer* out) {
    const Napi::Value buffer(env, value);
    if (!buffer.IsArrayBuffer()) return false;
    *out = buffer.As<Napi::ArrayBuffer>();
    return true;
  }
};

// A handle that a shim gave out earlier. The magic word tells a mapping from a poller, at the price of one load.
template <typename T>
requires(T::kMagic != 0) struct Arg<T*> {
  static constexpr const char* expected = "a handle made by this addon";
  static bool read(napi_env env, napi_value value, T** out) {
    void* data = nullptr;
    if (napi_get_value_external(env, value, &data) != napi_ok || data == nullptr) return false;
    *out = static_cast<T*>(data);
    return (*out)->magic == T::kMagic;
  }
};

template <typename T>
struct Arg<std::optional<T>> {
  static constexpr const char* expected = Arg<T>::expected;
  static bool read(napi_env env, napi_value value, std::optional<T>* out) {
    napi_valuetype type = napi_undefined;
    napi_typeof(env, value, &type);
    if (type == napi_undefined) return true;
    T inner{};
    if (!Arg<T>::read(env, value, &inner)) return false;
    *out = inner;
    return true;
  }
};

// ---- results --------------------------------------------------------------------------------------------------------

inline Napi::Value to_js(napi_env env, std::int64_t value) {
  napi_value out = nullptr;
  if (value >= INT32_MIN && value <= INT32_MAX) {
    napi_create_int32(env, static_cast<std::int32_t>(value), &out);
  } else {
    napi_create_int64(env, value, &out);
  }
  return {env, out};
}

inline Napi::Value to_js(napi_env env, U64OrErrno value) {
  if (value.error != 0) return to_js(env, -static_cast<std::int64_t>(value.error));
  if (value.value <= (std::uint64_t{1} << 53)) return to_js(env, static_cast<std::int64_t>(value.value));
  return Napi::BigInt::New(env, value.value);
}

inline Napi::Value to_js(napi_env env, NewFd fd) {
  if (fd.value >= 0) State::of(env).own_fd(fd.value);
  return to_js(env, static_cast<std::int64_t>(fd.value));
}

inline Napi::Value to_js(napi_env, Napi::Value value) { return value; }

// ---- binding --------------------------------------------------------------------------------------------------------

inline void throw_bad_argument(const Napi::CallbackInfo& info, std::size_t index, const char* expected) {
  const auto* name = static_cast<const char*>(info.Data());
  Napi::TypeError::New(info.Env(),
                       std::string(name) + ": argument " + std::to_string(index + 1) + " must be " + expected)
      .ThrowAsJavaScriptException();
}

template <std::size_t I, typename T>
inline bool read_argument(const Napi::CallbackInfo& info, T* out) {
  if (Arg<T>::read(info.Env(), info[I], out)) return true;
  throw_bad_argument(info, I, Arg<T>::expected);
  return false;
}

template <typename... A, std::size_t... I>
inline bool read_arguments([[maybe_unused]] const Napi::CallbackInfo& info, [[maybe_unused]] std::tuple<A...>* args,
                           std::index_sequence<I...>) {
  return (read_argument<I>(info, &std::get<I>(*args)) && ...);
}

template <typename R, typename... A>
inline Napi::Value invoke(const Napi::CallbackInfo& info, R (*shim)(A...)) {
  std::tuple<A...> args{};
  if (!read_arguments(info, &args, std::index_sequence_for<A...>{})) return {};
  return to_js(info.Env(), std::apply(shim, args));
}

// A shim that makes JavaScript values of its own takes the environment first.
template <typename R, typename... A>
inline Napi::Value invoke(const Napi::CallbackInfo& info, R (*shim)(Napi::Env, A...)) {
  std::tuple<A...> args{};
  if (!read_arguments(info, &args, std::index_sequence_for<A...>{})) return {};
  return to_js(info.Env(), std::apply([&](A... each) { return shim(info.Env(), each...); }, args));
}

template <auto shim>
inline Napi::Value call(const Napi::CallbackInfo& info) {
  return invoke(info, shim);
}

// The same shim on libuv's thread pool, as a promise for the same number. The descriptor is duplicated for as long as
// the work lasts: closing it meanwhile (and the reuse of its number) cannot send the call to another file.
template <auto shim>
struct AsyncBinder;

template <typename... A, std::int64_t (*shim)(Fd, A...)>
struct AsyncBinder<shim> {
  static_assert((std::is_arithmetic_v<A> && ...), "only scalars may leave the thread");

  struct Work {
    napi_async_work work = nullptr;
    napi_deferred deferred = nullptr;
    int duplicate = -1;
    std::tuple<Fd, A...> args{};
    std::int64_t value = 0;
  };

  static Napi::Value call(const Napi::CallbackInfo& info) {
    const Napi::Env env = info.Env();
    auto* work = new Work();
    if (!read_arguments(info, &work->args, std::index_sequence_for<Fd, A...>{})) {
      delete work;
      return {};
    }
    napi_value promise = nullptr;
    napi_create_promise(env, &work->deferred, &promise);
    Fd& fd = std::get<0>(work->args);
    work->duplicate = fcntl(fd.value, F_DUPFD_CLOEXEC, 0);
    if (work->duplicate < 0) {
      napi_resolve_deferred(env, work->deferred, to_js(env, -static_cast<std::int64_t>(errno)));
      delete work;
      return {env, promise};
    }
    fd.value = work->duplicate;
    napi_create_async_work(env, nullptr, Napi::String::New(env, static_cast<const char*>(info.Data())), execute,
                           complete, work, &work->work);
    napi_queue_async_work(env, work->work);
    return {env, promise};
  }

  static void execute(napi_env, void* data) {
    auto* work = static_cast<Work*>(data);
    work->value = std::apply(shim, work->args);
    close(work->duplicate);
    work->duplicate = -1;
  }

  static void complete(napi_env env, napi_status, void* data) {
    auto* work = static_cast<Work*>(data);
    if (work->duplicate >= 0) {  // cancelled by the environment's end: execute never ran
      close(work->duplicate);
      work->value = -ECANCELED;
    }
    const Napi::HandleScope scope(env);
    napi_resolve_deferred(env, work->deferred, to_js(env, work->value));
    napi_delete_async_work(env, work->work);
    delete work;
  }
};

template <auto shim>
inline void bind(Napi::Object exports, const char* name) {
  exports.Set(name, Napi::Function::New<call<shim>>(exports.Env(), name, const_cast<char*>(name)));
}

template <auto shim>
inline void bind_async(Napi::Object exports, const char* name) {
  exports.Set(name, Napi::Function::New<AsyncBinder<shim>::call>(exports.Env(), name, const_cast<char*>(name)));
}

// One per source file, called from addon.cc.
void bind_file(Napi::Object exports);
void bind_memory(Napi::Object exports);
void bind_mmio(Napi::Object exports);
void bind_poller(Napi::Object exports);
void bind_eventfd(Napi::Object exports);
void bind_socket(Napi::Object exports);
void bind_process(Napi::Object exports);
void bind_vfio_container(Napi::Object exports);
void bind_vfio_device(Napi::Object exports);
void bind_iommufd(Napi::Object exports);
void bind_kvm(Napi::Object exports);

}  // namespace vfio
