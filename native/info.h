// Info requests that may carry a capability chain behind the fixed struct: the caller says how much it has room for
// (argsz), the kernel says how much there is, and the bytes are walked in TypeScript, where the walk is bounded.
#pragma once

#include <sys/ioctl.h>

#include <cstring>
#include <memory>

#include "bind.h"

namespace vfio {

// Calls `request` with a zeroed buffer of `argsz` bytes that starts with `head`, and gives (bytes, fixed struct) to
// `describe`, which makes the JavaScript object. Returns -errno instead when the kernel refuses.
template <typename Head, typename Describe>
Napi::Value info_request(Napi::Env env, Fd fd, unsigned long request, Head head, std::uint32_t argsz,
                         Describe describe) {
  // 1 MiB: no chain comes near it, and a wrong argsz must not allocate gigabytes.
  if (argsz < sizeof(Head) || argsz > (1u << 20)) return to_js(env, std::int64_t{-EINVAL});
  auto buffer = Napi::Uint8Array::New(env, argsz);
  std::memset(buffer.Data(), 0, argsz);
  head.argsz = argsz;
  std::memcpy(buffer.Data(), &head, sizeof(Head));
  if (ioctl(fd.value, request, buffer.Data()) < 0) return to_js(env, -static_cast<std::int64_t>(errno));
  std::memcpy(&head, buffer.Data(), sizeof(Head));
  const Napi::Object info = Napi::Object::New(env);
  info.Set("argsz", Napi::Number::New(env, head.argsz));
  info.Set("flags", Napi::Number::New(env, head.flags));
  info.Set("bytes", buffer);
  describe(info, head);
  return info;
}

}  // namespace vfio
