#include "state.h"

#include <sys/mman.h>
#include <unistd.h>

namespace vfio {

State& State::of(napi_env env) {
  void* data = nullptr;
  napi_get_instance_data(env, &data);
  return *static_cast<State*>(data);
}

void State::teardown() {
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
}

}  // namespace vfio
