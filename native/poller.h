// Watching a descriptor on the environment's own loop (the default loop is another thread's in a worker).
#pragma once

#include "bind.h"

namespace vfio {

// Calls `ready` for each of `events` (UV_READABLE, UV_WRITABLE) until the poller is closed. An external, or -errno.
Napi::Value poller_start(Napi::Env env, int fd, int events, uv_poll_cb ready, Napi::Function callback,
                         const char* resource);

// Calls the poller's JavaScript function with one number. The poller may be closed when it returns.
void poller_call(Poller* poller, std::int64_t value);

}  // namespace vfio
