// Eventfds: made, counted, and watched on the environment's own loop (the default loop is another thread's in a
// worker).
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/uio.h>
#include <unistd.h>

#include "bind.h"

namespace vfio {

namespace {

void poller_free_if_done(Poller* poller) {
  if (poller->closed && poller->collected) delete poller;
}

}  // namespace

void poller_close(Poller* poller) {
  if (poller->closing) return;
  poller->closing = true;
  State::of(poller->env).disown_poller(poller);
  uv_poll_stop(&poller->handle);
  napi_delete_reference(poller->env, poller->callback);
  // Stopped from inside its own callback, the context is still in use on the stack: poller_ready destroys it then.
  if (!poller->in_callback) napi_async_destroy(poller->env, poller->context);
  uv_close(reinterpret_cast<uv_handle_t*>(&poller->handle), [](uv_handle_t* handle) {
    auto* closed = static_cast<Poller*>(handle->data);
    closed->closed = true;
    poller_free_if_done(closed);
  });
}

namespace {

NewFd eventfd_create() {
  const int fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  return {fd < 0 ? -errno : fd};
}

// The counter, which the read resets to 0; -EAGAIN when it is 0 already.
U64OrErrno eventfd_take(Fd fd) {
  std::uint64_t count = 0;
  if (read(fd.value, &count, sizeof(count)) < 0) return {0, errno};
  return {count, 0};
}

// The same for an eventfd that may be a blocking one; -EOPNOTSUPP where the kernel cannot tell (before 5.8).
U64OrErrno eventfd_take_now(Fd fd) {
  std::uint64_t count = 0;
  const iovec into{&count, sizeof(count)};
  if (preadv2(fd.value, &into, 1, -1, RWF_NOWAIT) < 0) return {0, errno};
  return {count, 0};
}

// Whether the counter is not 0. It stays as it is.
std::int64_t eventfd_pending(Fd fd) {
  pollfd poll_fd{fd.value, POLLIN, 0};
  const int ready = poll(&poll_fd, 1, 0);
  if (ready < 0) return result(ready);
  if ((poll_fd.revents & POLLNVAL) != 0) return -EBADF;
  return (poll_fd.revents & POLLIN) != 0 ? 1 : 0;
}

std::int64_t eventfd_add(Fd fd, std::uint64_t count) { return result(write(fd.value, &count, sizeof(count))); }

// Blocks this thread until the counter is not 0 (or for `timeout` milliseconds, -1 for ever), then takes it. For a
// worker that has nothing else to do: it wakes in a few microseconds, several times sooner than an event loop.
U64OrErrno eventfd_wait(Fd fd, std::int32_t timeout) {
  pollfd poll_fd{fd.value, POLLIN, 0};
  const int ready = poll(&poll_fd, 1, timeout);
  if (ready < 0) return {0, errno};
  if (ready == 0) return {0, ETIMEDOUT};
  return eventfd_take(fd);
}

void poller_ready(uv_poll_t* handle, int status, int) {
  auto* poller = static_cast<Poller*>(handle->data);
  std::int64_t value = status;
  if (status == 0) {
    // Read here and not in JavaScript: uv's poll is level-triggered and would call again at once.
    std::uint64_t count = 0;
    if (read(poller->fd, &count, sizeof(count)) == sizeof(count)) {
      value = static_cast<std::int64_t>(count);
    } else if (errno == EAGAIN) {
      return;  // another reader was first
    } else {
      value = -errno;
    }
  }
  const napi_env env = poller->env;
  const Napi::HandleScope scope(env);
  napi_value callback = nullptr;
  napi_value receiver = nullptr;
  napi_get_reference_value(env, poller->callback, &callback);
  napi_get_global(env, &receiver);
  napi_value argument = to_js(env, value);
  const napi_async_context context = poller->context;
  poller->in_callback = true;
  // What the callback throws becomes the process's uncaughtException.
  if (napi_make_callback(env, context, receiver, callback, 1, &argument, nullptr) == napi_pending_exception) {
    napi_value exception = nullptr;
    napi_get_and_clear_last_exception(env, &exception);
    napi_fatal_exception(env, exception);
  }
  poller->in_callback = false;
  if (poller->closing) napi_async_destroy(env, context);
}

// Watches an eventfd and calls back with its count, or with -errno. The caller stops it before it closes the
// descriptor: a poll on a closed number would silently watch whichever file gets that number next.
Napi::Value poll_start(Napi::Env env, Fd fd, Napi::Function callback) {
  uv_loop_t* loop = nullptr;
  if (napi_get_uv_event_loop(env, &loop) != napi_ok) return to_js(env, std::int64_t{-ENOSYS});
  auto* poller = new Poller();
  const int status = uv_poll_init(loop, &poller->handle, fd.value);
  if (status != 0) {
    delete poller;
    return to_js(env, static_cast<std::int64_t>(status));
  }
  poller->handle.data = poller;
  poller->env = env;
  poller->fd = fd.value;
  napi_create_reference(env, callback, 1, &poller->callback);
  napi_async_init(env, nullptr, Napi::String::New(env, "VFIO_EVENTFD"), &poller->context);
  State::of(env).own_poller(poller);
  uv_poll_start(&poller->handle, UV_READABLE, poller_ready);
  return Napi::External<Poller>::New(env, poller, [](Napi::Env, Poller* collected) {
    collected->collected = true;
    // A poller that nobody stopped keeps calling back: its callback holds what it needs.
    poller_free_if_done(collected);
  });
}

std::int64_t poll_stop(Poller* poller) {
  poller_close(poller);
  return 0;
}

// Whether the poller keeps the event loop alive.
std::int64_t poll_set_ref(Poller* poller, bool referenced) {
  auto* handle = reinterpret_cast<uv_handle_t*>(&poller->handle);
  if (poller->closing) return -EBADF;
  referenced ? uv_ref(handle) : uv_unref(handle);
  return 0;
}

}  // namespace

void bind_eventfd(Napi::Object exports) {
  bind<eventfd_create>(exports, "eventfd");
  bind<eventfd_take>(exports, "eventfdRead");
  bind<eventfd_take_now>(exports, "eventfdReadNow");
  bind<eventfd_pending>(exports, "eventfdPending");
  bind<eventfd_add>(exports, "eventfdWrite");
  bind<eventfd_wait>(exports, "eventfdWait");
  bind<poll_start>(exports, "pollStart");
  bind<poll_stop>(exports, "pollStop");
  bind<poll_set_ref>(exports, "pollSetRef");
}

}  // namespace vfio
