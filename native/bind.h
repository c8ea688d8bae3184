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

#include <array>
#include <cerrno>
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
  if (!(number >= low && number <= high)) return false;
  // Within 2^53 either way, so this is exact; std::trunc would be a call into the library.
  const auto integer = static_cast<std::int64_t>(number);
  *out = static_cast<T>(integer);
  return static_cast<double>(integer) == number;
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
struct Arg<std::uint8_t> {
  static constexpr const char* expected = "an unsigned 8-bit integer";
  static bool read(napi_env env, napi_value value, std::uint8_t* out) {
    return read_integer(env, value, 0.0, 255.0, out);
  }
};

template <>
struct Arg<std::uint16_t> {
  static constexpr const char* expected = "an unsigned 16-bit integer";
  static bool read(napi_env env, napi_value value, std::uint16_t* out) {
    return read_integer(env, value, 0.0, 65535.0, out);
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
      if (!(number >= 0.0 && number <= 9007199254740991.0)) return false;
      // By way of the signed type, for which there is an instruction.
      const auto integer = static_cast<std::int64_t>(number);
      *out = static_cast<std::uint64_t>(integer);
      return static_cast<double>(integer) == number;
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
    // One call tells all of a typed array, and refuses everything else: node-addon-api makes several.
    napi_typedarray_type type = napi_uint8_array;
    std::size_t length = 0;
    void* data = nullptr;
    if (napi_get_typedarray_info(env, value, &type, &length, &data, nullptr, nullptr) == napi_ok) {
      *out = {static_cast<std::uint8_t*>(data), length * element_size(type)};
      return true;
    }
    bool view = false;
    napi_is_dataview(env, value, &view);
    if (!view) return false;
    napi_get_dataview_info(env, value, &length, &data, nullptr, nullptr);
    *out = {static_cast<std::uint8_t*>(data), length};
    return true;
  }

 private:
  static std::size_t element_size(napi_typedarray_type type) {
    switch (type) {
      case napi_int8_array:
      case napi_uint8_array:
      case napi_uint8_clamped_array:
        return 1;
      case napi_int16_array:
      case napi_uint16_array:
        return 2;
      case napi_int32_array:
      case napi_uint32_array:
      case napi_float32_array:
        return 4;
      default:
        return 8;
    }
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

// Node-API itself and not node-addon-api's CallbackInfo, which asks for six arguments whatever there is and allocates
// more: some 15 ns of every call.
inline const char* function_name(napi_env env, napi_callback_info info) {
  void* name = nullptr;
  napi_get_cb_info(env, info, nullptr, nullptr, nullptr, &name);
  return static_cast<const char*>(name);
}

inline void throw_bad_argument(napi_env env, napi_callback_info info, std::size_t index, const char* expected) {
  Napi::TypeError::New(
      env, std::string(function_name(env, info)) + ": argument " + std::to_string(index + 1) + " must be " + expected)
      .ThrowAsJavaScriptException();
}

template <typename... A, std::size_t... I>
inline bool read_arguments(napi_env env, napi_callback_info info, std::tuple<A...>* args, std::index_sequence<I...>) {
  if constexpr (sizeof...(A) > 0) {
    std::size_t count = sizeof...(A);
    // Those that were left out become undefined.
    napi_value values[sizeof...(A)];
    napi_get_cb_info(env, info, &count, values, nullptr, nullptr);
    const auto read = [&]<std::size_t index, typename T>(T* out) {
      if (Arg<T>::read(env, values[index], out)) return true;
      throw_bad_argument(env, info, index, Arg<T>::expected);
      return false;
    };
    return (read.template operator()<I>(&std::get<I>(*args)) && ...);
  }
  return true;
}

template <typename R, typename... A>
inline napi_value invoke(napi_env env, napi_callback_info info, R (*shim)(A...)) {
  std::tuple<A...> args{};
  if (!read_arguments(env, info, &args, std::index_sequence_for<A...>{})) return nullptr;
  return to_js(env, std::apply(shim, args));
}

// A shim that makes JavaScript values of its own takes the environment first.
template <typename R, typename... A>
inline napi_value invoke(napi_env env, napi_callback_info info, R (*shim)(Napi::Env, A...)) {
  std::tuple<A...> args{};
  if (!read_arguments(env, info, &args, std::index_sequence_for<A...>{})) return nullptr;
  return to_js(env, std::apply([&](A... each) { return shim(env, each...); }, args));
}

template <auto shim>
inline napi_value call(napi_env env, napi_callback_info info) {
  return invoke(env, info, shim);
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

  static napi_value call(napi_env env, napi_callback_info info) {
    auto* work = new Work();
    if (!read_arguments(env, info, &work->args, std::index_sequence_for<Fd, A...>{})) {
      delete work;
      return nullptr;
    }
    napi_value promise = nullptr;
    napi_create_promise(env, &work->deferred, &promise);
    Fd& fd = std::get<0>(work->args);
    work->duplicate = fcntl(fd.value, F_DUPFD_CLOEXEC, 0);
    if (work->duplicate < 0) {
      napi_resolve_deferred(env, work->deferred, to_js(env, -static_cast<std::int64_t>(errno)));
      delete work;
      return promise;
    }
    fd.value = work->duplicate;
    napi_create_async_work(env, nullptr, Napi::String::New(env, function_name(env, info)), execute, complete, work,
                           &work->work);
    napi_queue_async_work(env, work->work);
    return promise;
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

// The arguments of a shim, each by what it must be.
template <typename R, typename... A>
constexpr std::array<const char*, sizeof...(A)> parameters_of(R (*)(A...)) {
  return {Arg<A>::expected...};
}

template <typename R, typename... A>
constexpr std::array<const char*, sizeof...(A)> parameters_of(R (*)(Napi::Env, A...)) {
  return {Arg<A>::expected...};
}

// The function has its shim's arguments as a property `parameters`: a test compares them with the table of calls.
template <auto shim>
inline void define_function(Napi::Object exports, const char* name, napi_callback callback) {
  napi_env env = exports.Env();
  napi_value function = nullptr;
  napi_create_function(env, name, NAPI_AUTO_LENGTH, callback, const_cast<char*>(name), &function);
  constexpr auto expected = parameters_of(shim);
  napi_value parameters = nullptr;
  napi_create_array_with_length(env, expected.size(), &parameters);
  for (std::size_t index = 0; index < expected.size(); index++) {
    napi_value text = nullptr;
    napi_create_string_latin1(env, expected[index], NAPI_AUTO_LENGTH, &text);
    napi_set_element(env, parameters, static_cast<std::uint32_t>(index), text);
  }
  napi_set_named_property(env, function, "parameters", parameters);
  napi_set_named_property(env, exports, name, function);
}

template <auto shim>
inline void bind(Napi::Object exports, const char* name) {
  define_function<shim>(exports, name, call<shim>);
}

template <auto shim>
inline void bind_async(Napi::Object exports, const char* name) {
  define_function<shim>(exports, name, AsyncBinder<shim>::call);
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
