// Descriptors: open, close, positioned reads and writes, and the ioctl that nobody has wrapped yet.
#include <fcntl.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "bind.h"

namespace vfio {
namespace {

NewFd file_open(std::string path, std::uint32_t flags) {
  const int fd = open(path.c_str(), static_cast<int>(flags) | O_CLOEXEC);
  return {fd < 0 ? -errno : fd};
}

// Linux releases the descriptor even when close reports an error, so it is never retried.
std::int64_t file_close(Napi::Env env, Fd fd) {
  State::of(env).disown_fd(fd.value);
  return result(close(fd.value));
}

NewFd file_dup(Fd fd) {
  const int copy = fcntl(fd.value, F_DUPFD_CLOEXEC, 0);
  return {copy < 0 ? -errno : copy};
}

// A descriptor that came from elsewhere becomes this environment's: close-on-exec, and closed with the environment.
std::int64_t file_adopt(Napi::Env env, Fd fd) {
  const int flags = fcntl(fd.value, F_GETFD);
  if (flags < 0) return result(flags);
  const int set = fcntl(fd.value, F_SETFD, flags | FD_CLOEXEC);
  if (set < 0) return result(set);
  State::of(env).own_fd(fd.value);
  return 0;
}

std::int64_t file_pread(Fd fd, Bytes bytes, std::uint64_t position) {
  return result(pread(fd.value, bytes.data, bytes.length, static_cast<off_t>(position)));
}

std::int64_t file_pwrite(Fd fd, Bytes bytes, std::uint64_t position) {
  return result(pwrite(fd.value, bytes.data, bytes.length, static_cast<off_t>(position)));
}

std::int64_t file_truncate(Fd fd, std::uint64_t length) {
  return result(ftruncate(fd.value, static_cast<off_t>(length)));
}

std::int64_t file_lock(Fd fd, std::uint32_t operation) { return result(flock(fd.value, static_cast<int>(operation))); }

// The argument is the bytes' address, or nothing. Whatever the request does with them is the caller's to know.
std::int64_t file_ioctl(Fd fd, std::uint32_t request, std::optional<Bytes> bytes) {
  return result(ioctl(fd.value, request, bytes ? bytes->data : nullptr));
}

}  // namespace

void bind_file(Napi::Object exports) {
  bind<file_open>(exports, "open");
  bind<file_close>(exports, "close");
  bind<file_dup>(exports, "dup");
  bind<file_adopt>(exports, "adopt");
  bind<file_pread>(exports, "pread");
  bind<file_pwrite>(exports, "pwrite");
  bind<file_truncate>(exports, "ftruncate");
  bind<file_lock>(exports, "flock");
  bind<file_ioctl>(exports, "ioctl");
}

}  // namespace vfio
