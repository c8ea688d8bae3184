// Eventfds: made, counted, and watched.
#include <linux/fs.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include "poller.h"

namespace vfio {
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
  // musl has no preadv2 before 1.2.5. The offset is in two halves; -1 is the file's own.
  if (syscall(SYS_preadv2, fd.value, &into, 1, -1L, -1L, RWF_NOWAIT) < 0) return {0, errno};
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
  poller_call(poller, value);
}

// Watches an eventfd and calls back with its count, or with -errno. The caller stops it before it closes the
// descriptor: a poll on a closed number would silently watch whichever file gets that number next.
Napi::Value poll_start(Napi::Env env, Fd fd, Napi::Function callback) {
  return poller_start(env, fd.value, UV_READABLE, poller_ready, callback, "VFIO_EVENTFD");
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
}

}  // namespace vfio
