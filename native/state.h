// What one environment (the main thread, or one worker) holds: descriptors, memory mappings, pollers.
//
// A worker can be terminated between any two JavaScript statements. Everything that a shim creates is therefore entered
// here before the shim returns, and released when the environment ends: pollers first (an open uv handle aborts the
// process), then descriptors (closing a device or container stops its DMA), then memory.
//
// The end is asynchronous. uv runs a handle's close callback in a later turn of the loop, and Node unloads this library
// as soon as the last environment that loaded it has ended. So the environment waits until uv has closed every poller.
#pragma once

#include <node_api.h>
#include <uv.h>

#include <cstddef>
#include <cstdint>
#include <unordered_set>

namespace vfio {

// A mapping of memory into this process. It outlives munmap until its JavaScript handle is collected, so that a late
// use finds `address == nullptr` and not freed memory. Collecting the handle never unmaps: a device may still use the
// memory. It stays entered in the state, and goes with the environment.
struct Mapping {
  static constexpr std::uint32_t kMagic = 0x4d415031;
  std::uint32_t magic = kMagic;
  std::uint8_t* address = nullptr;
  std::size_t length = 0;
};

class State;

// A watched descriptor. Freed in uv's close callback, never before.
struct Poller {
  static constexpr std::uint32_t kMagic = 0x504f4c31;
  std::uint32_t magic = kMagic;
  uv_poll_t handle{};
  uv_poll_cb ready = nullptr;
  napi_env env = nullptr;
  State* state = nullptr;
  napi_ref callback = nullptr;
  napi_async_context context = nullptr;
  int fd = -1;
  bool in_callback = false;
  bool closing = false;
  bool collected = false;  // the JavaScript handle is gone
  bool closed = false;     // uv's close callback has run
};

class State {
 public:
  State() = default;
  State(const State&) = delete;
  State& operator=(const State&) = delete;

  static State& of(napi_env env);

  void own_fd(int fd) { fds_.insert(fd); }
  void disown_fd(int fd) { fds_.erase(fd); }
  void own_mapping(Mapping* mapping) { mappings_.insert(mapping); }
  void disown_mapping(Mapping* mapping) { mappings_.erase(mapping); }
  void own_poller(Poller* poller) { pollers_.insert(poller); }

  // Between these two the poller's handle belongs to uv.
  void poller_closing(Poller* poller);
  void poller_closed();

  // Runs once, as the environment's cleanup hook. The environment waits until the hook is removed.
  void teardown(napi_async_cleanup_hook_handle hook);

 private:
  void finish_teardown();

  napi_async_cleanup_hook_handle hook_ = nullptr;
  std::size_t closing_ = 0;
  std::unordered_set<int> fds_;
  std::unordered_set<Mapping*> mappings_;
  std::unordered_set<Poller*> pollers_;
};

// Stops watching and frees the poller once uv allows it.
void poller_close(Poller* poller);

}  // namespace vfio
