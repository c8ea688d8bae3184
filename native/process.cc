// Processes: what survives an exec, the exec itself, and whether another process still lives.
#include <fcntl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <csignal>
#include <iterator>
#include <vector>

#include "bind.h"

namespace vfio {

template <>
struct Arg<std::vector<std::string>> {
  static constexpr const char* expected = "an array of strings";
  static bool read(napi_env env, napi_value value, std::vector<std::string>* out) {
    const Napi::Value given(env, value);
    if (!given.IsArray()) return false;
    const auto array = given.As<Napi::Array>();
    for (std::uint32_t i = 0; i < array.Length(); i++) {
      const Napi::Value each = array[i];
      if (!each.IsString()) return false;
      out->push_back(each.As<Napi::String>().Utf8Value());
    }
    return true;
  }
};

namespace {

// linux/kcmp.h
constexpr int kKcmpFile = 0;

// Whether an exec closes the descriptor, from here on. How it was before.
std::int64_t set_close_on_exec(Fd fd, bool close_on_exec) {
  const int flags = fcntl(fd.value, F_GETFD);
  if (flags < 0) return result(flags);
  const int wanted = close_on_exec ? flags | FD_CLOEXEC : flags & ~FD_CLOEXEC;
  const int set = fcntl(fd.value, F_SETFD, wanted);
  if (set < 0) return result(set);
  return (flags & FD_CLOEXEC) != 0 ? 1 : 0;
}

std::vector<char*> pointers(std::vector<std::string>* strings) {
  std::vector<char*> out;
  for (std::string& each : *strings) out.push_back(each.data());
  out.push_back(nullptr);
  return out;
}

// Returns only if it failed.
std::int64_t process_execve(std::string path, std::vector<std::string> arguments,
                            std::vector<std::string> environment) {
  const std::vector<char*> argv = pointers(&arguments);
  const std::vector<char*> envp = pointers(&environment);
  // Node ignores these two, and what is ignored stays ignored over an exec.
  constexpr int kIgnored[] = {SIGPIPE, SIGXFSZ};
  struct sigaction by_default {};
  by_default.sa_handler = SIG_DFL;
  struct sigaction before[std::size(kIgnored)] = {};
  for (std::size_t i = 0; i < std::size(kIgnored); i++) sigaction(kIgnored[i], &by_default, &before[i]);
  execve(path.c_str(), argv.data(), envp.data());
  const int error = errno;
  for (std::size_t i = 0; i < std::size(kIgnored); i++) sigaction(kIgnored[i], &before[i], nullptr);
  return -error;
}

// 0 if two descriptors of this process are the same open file description, and 1, 2 or 3 if they are not.
std::int64_t kcmp_file(Fd first, Fd second) {
  const pid_t self = getpid();
  return result(syscall(SYS_kcmp, self, self, kKcmpFile, first.value, second.value));
}

// Readable when the process has ended.
NewFd process_pidfd_open(std::int32_t pid) {
  const long fd = syscall(SYS_pidfd_open, pid, 0);
  return {fd < 0 ? -errno : static_cast<int>(fd)};
}

// What can no longer be done to a memfd.
std::int64_t memfd_add_seals(Fd fd, std::int32_t seals) { return result(fcntl(fd.value, F_ADD_SEALS, seals)); }

std::int64_t memfd_get_seals(Fd fd) { return result(fcntl(fd.value, F_GET_SEALS)); }

}  // namespace

void bind_process(Napi::Object exports) {
  bind<set_close_on_exec>(exports, "setCloseOnExec");
  bind<process_execve>(exports, "execve");
  bind<kcmp_file>(exports, "kcmpFile");
  bind<process_pidfd_open>(exports, "pidfdOpen");
  bind<memfd_add_seals>(exports, "addSeals");
  bind<memfd_get_seals>(exports, "getSeals");
}

}  // namespace vfio
