#include "state.h"

#include <sys/mman.h>
#include <unistd.h>

namespace vfio {

State& State::of(napi_env env) {
  void* data = nullptr;
  napi_get_instance_data(env, &data);
  return *static_cast<State*>(data);
}

void State::poller_closing(Poller* poller) {
  pollers_.erase(poller);
  closing_++;
}

void State::poller_closed() {
  closing_--;
  finish_teardown();
}

void State::teardown(napi_async_cleanup_hook_handle hook) {
  hook_ = hook;
  const std::unordered_set<Poller*> pollers = pollers_;
  for (Poller* poller : pollers) poller_close(poller);
  for (int fd : fds_) close(fd);
  fds_.clear();
  for (Mapping* mapping : mappings_) {
    munmap(mapping->address, mapping->length);
    mapping->address = nullptr;
    mapping->length = 0;
  }
  mappings_.clear();
  finish_teardown();
}

// Removing the hook lets the environment end, and this state with it.
void State::finish_teardown() {
  if (hook_ == nullptr || closing_ > 0) return;
  napi_remove_async_cleanup_hook(hook_);
}

}  // namespace vfio
