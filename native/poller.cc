#include "poller.h"

#include <poll.h>

#include <cstring>

namespace vfio {
namespace {

void poller_free_if_done(Poller* poller) {
  if (poller->closed && poller->collected) delete poller;
}

}  // namespace

Napi::Value poller_start(Napi::Env env, int fd, int events, uv_poll_cb ready, Napi::Function callback,
                         const char* resource) {
  uv_loop_t* loop = nullptr;
  if (napi_get_uv_event_loop(env, &loop) != napi_ok) return to_js(env, std::int64_t{-ENOSYS});
  auto* poller = new Poller();
  const int status = uv_poll_init(loop, &poller->handle, fd);
  if (status != 0) {
    delete poller;
    return to_js(env, static_cast<std::int64_t>(status));
  }
  poller->handle.data = poller;
  poller->env = env;
  poller->state = &State::of(env);
  poller->fd = fd;
  poller->ready = ready;
  napi_create_reference(env, callback, 1, &poller->callback);
  napi_async_init(env, nullptr, Napi::String::New(env, resource), &poller->context);
  poller->state->own_poller(poller);
  if (events != 0) uv_poll_start(&poller->handle, events, ready);
  return Napi::External<Poller>::New(env, poller, [](Napi::Env, Poller* collected) {
    collected->collected = true;
    // A poller that nobody stopped keeps calling back: its callback holds what it needs.
    poller_free_if_done(collected);
  });
}

void poller_close(Poller* poller) {
  if (poller->closing) return;
  poller->closing = true;
  poller->state->poller_closing(poller);
  uv_poll_stop(&poller->handle);
  napi_delete_reference(poller->env, poller->callback);
  // Stopped from inside its own callback, the context is still in use on the stack: poller_call destroys it then.
  if (!poller->in_callback) napi_async_destroy(poller->env, poller->context);
  uv_close(reinterpret_cast<uv_handle_t*>(&poller->handle), [](uv_handle_t* handle) {
    auto* closed = static_cast<Poller*>(handle->data);
    State* state = closed->state;
    closed->closed = true;
    poller_free_if_done(closed);
    state->poller_closed();
  });
}

void poller_call(Poller* poller, std::int64_t value) {
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

namespace {

constexpr std::uint32_t kEvents = UV_READABLE | UV_WRITABLE;

// uv stops watching a descriptor in an error state, and says EBADF whatever the error is. What the error is, the next
// call on the descriptor tells: all that was watched for is ready, and is to be asked for again.
void watch_ready(uv_poll_t* handle, int status, int events) {
  poller_call(static_cast<Poller*>(handle->data), status == 0 ? events : status);
}

// Watches a descriptor and calls back with what is ready, or with -errno. Level-triggered. The caller stops it before
// it closes the descriptor: a poll on a closed number would silently watch whichever file gets that number next.
Napi::Value watch_start(Napi::Env env, Fd fd, std::uint32_t events, Napi::Function callback) {
  if ((events & ~kEvents) != 0) return to_js(env, std::int64_t{-EINVAL});
  return poller_start(env, fd.value, static_cast<int>(events), watch_ready, callback, "VFIO_WATCH");
}

// What to watch for from here on; nothing at all is allowed.
std::int64_t watch_set_events(Poller* poller, std::uint32_t events) {
  if (poller->closing) return -EBADF;
  if ((events & ~kEvents) != 0) return -EINVAL;
  return events == 0 ? uv_poll_stop(&poller->handle)
                     : uv_poll_start(&poller->handle, static_cast<int>(events), poller->ready);
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

// Blocks this thread until one of the events is there (or for `timeout` milliseconds, -1 for ever). What is ready, 0
// for nothing. A hang-up and an error make everything ready, as in uv.
std::int64_t poll_fd(Fd fd, std::uint32_t events, std::int32_t timeout) {
  if ((events & ~kEvents) != 0) return -EINVAL;
  pollfd poll_fd{fd.value, 0, 0};
  if ((events & UV_READABLE) != 0) poll_fd.events |= POLLIN;
  if ((events & UV_WRITABLE) != 0) poll_fd.events |= POLLOUT;
  const int ready = poll(&poll_fd, 1, timeout);
  if (ready < 0) return result(ready);
  if ((poll_fd.revents & POLLNVAL) != 0) return -EBADF;
  if ((poll_fd.revents & (POLLHUP | POLLERR)) != 0) return events;
  std::int64_t found = 0;
  if ((poll_fd.revents & POLLIN) != 0) found |= UV_READABLE;
  if ((poll_fd.revents & POLLOUT) != 0) found |= UV_WRITABLE;
  return found;
}

// The same for several descriptors. The table holds three numbers for each: the descriptor, what to wait for, and what
// is ready afterwards. How many are ready.
std::int64_t poll_fds(Bytes table, std::int32_t timeout) {
  constexpr std::size_t kMost = 16;
  constexpr std::size_t kColumns = 3;
  const std::size_t count = table.length / (kColumns * sizeof(std::int32_t));
  if (count > kMost || count * kColumns * sizeof(std::int32_t) != table.length) return -EINVAL;
  std::int32_t rows[kMost][kColumns];
  std::memcpy(rows, table.data, table.length);
  pollfd fds[kMost];
  for (std::size_t i = 0; i < count; i++) {
    fds[i] = {rows[i][0], 0, 0};
    if ((rows[i][1] & UV_READABLE) != 0) fds[i].events |= POLLIN;
    if ((rows[i][1] & UV_WRITABLE) != 0) fds[i].events |= POLLOUT;
  }
  const int ready = poll(fds, count, timeout);
  if (ready < 0) return result(ready);
  for (std::size_t i = 0; i < count; i++) {
    std::int32_t found = 0;
    if ((fds[i].revents & POLLNVAL) != 0) return -EBADF;
    if ((fds[i].revents & (POLLIN | POLLHUP | POLLERR)) != 0) found |= rows[i][1] & UV_READABLE;
    if ((fds[i].revents & (POLLOUT | POLLHUP | POLLERR)) != 0) found |= rows[i][1] & UV_WRITABLE;
    rows[i][2] = found;
  }
  std::memcpy(table.data, rows, table.length);
  return ready;
}

}  // namespace

void bind_poller(Napi::Object exports) {
  bind<watch_start>(exports, "watchStart");
  bind<watch_set_events>(exports, "watchSetEvents");
  bind<poll_stop>(exports, "pollStop");
  bind<poll_set_ref>(exports, "pollSetRef");
  bind<poll_fd>(exports, "pollFd");
  bind<poll_fds>(exports, "pollFds");
}

}  // namespace vfio
