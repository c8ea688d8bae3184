#include "bind.h"

namespace vfio {
namespace {

Napi::Object init(Napi::Env env, Napi::Object exports) {
  auto* state = new State();
  napi_set_instance_data(
      env, state, [](napi_env, void* data, void*) { delete static_cast<State*>(data); }, nullptr);
  napi_add_async_cleanup_hook(
      env, [](napi_async_cleanup_hook_handle hook, void* data) { static_cast<State*>(data)->teardown(hook); }, state,
      nullptr);
  bind_file(exports);
  bind_memory(exports);
  bind_mmio(exports);
  bind_poller(exports);
  bind_eventfd(exports);
  bind_socket(exports);
  bind_process(exports);
  bind_vfio_container(exports);
  bind_vfio_device(exports);
  bind_iommufd(exports);
  bind_kvm(exports);
  return exports;
}

}  // namespace
}  // namespace vfio

static Napi::Object init_module(Napi::Env env, Napi::Object exports) { return vfio::init(env, exports); }

NODE_API_MODULE(vfio, init_module)
