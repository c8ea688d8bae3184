// Unix sockets, and the descriptors that travel over them.
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <cstddef>
#include <cstring>

#include "bind.h"

namespace vfio {
namespace {

// The kernel takes no more descriptors in one message (SCM_MAX_FD, include/net/scm.h).
constexpr std::size_t kMaxFds = 253;

int with_flags(std::uint32_t type, bool nonblocking) {
  return static_cast<int>(type) | SOCK_CLOEXEC | (nonblocking ? SOCK_NONBLOCK : 0);
}

NewFd unix_socket(std::uint32_t type, bool nonblocking) {
  const int fd = socket(AF_UNIX, with_flags(type, nonblocking), 0);
  return {fd < 0 ? -errno : fd};
}

std::int64_t unix_socketpair(Napi::Env env, std::uint32_t type, bool nonblocking, Bytes out) {
  if (out.length != 2 * sizeof(int)) return -EINVAL;
  int fds[2];
  if (socketpair(AF_UNIX, with_flags(type, nonblocking), 0, fds) < 0) return -errno;
  for (const int fd : fds) State::of(env).own_fd(fd);
  std::memcpy(out.data, fds, sizeof(fds));
  return 0;
}

// A path, or a name in the abstract namespace, which begins with a NUL and is not terminated by one.
socklen_t unix_address(const std::string& path, sockaddr_un* address) {
  const bool abstract = path.empty() || path[0] == '\0';
  const std::size_t length = path.size() + (abstract ? 0 : 1);
  if (length > sizeof(address->sun_path)) return 0;
  address->sun_family = AF_UNIX;
  std::memcpy(address->sun_path, path.c_str(), length);
  return static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + length);
}

std::int64_t unix_bind(Fd fd, std::string path) {
  sockaddr_un address{};
  const socklen_t length = unix_address(path, &address);
  if (length == 0) return -ENAMETOOLONG;
  return result(bind(fd.value, reinterpret_cast<const sockaddr*>(&address), length));
}

std::int64_t unix_listen(Fd fd, std::int32_t backlog) { return result(listen(fd.value, backlog)); }

// The new socket is a non-blocking one if asked for, whatever the listening one is.
NewFd unix_accept(Fd fd, bool nonblocking) {
  const int accepted = accept4(fd.value, nullptr, nullptr, with_flags(0, nonblocking));
  return {accepted < 0 ? -errno : accepted};
}

// A Unix socket is connected at once or not at all: -EAGAIN where the listener's backlog is full.
std::int64_t unix_connect(Fd fd, std::string path) {
  sockaddr_un address{};
  const socklen_t length = unix_address(path, &address);
  if (length == 0) return -ENAMETOOLONG;
  return result(connect(fd.value, reinterpret_cast<const sockaddr*>(&address), length));
}

std::int64_t socket_shutdown(Fd fd, std::int32_t how) { return result(shutdown(fd.value, how)); }

// Options of SOL_SOCKET that are an int: SO_ERROR, SO_TYPE, SO_SNDBUF, ...
std::int64_t socket_get_option(Fd fd, std::int32_t option) {
  int value = 0;
  socklen_t length = sizeof(value);
  if (getsockopt(fd.value, SOL_SOCKET, option, &value, &length) < 0) return -errno;
  return value;
}

std::int64_t socket_set_option(Fd fd, std::int32_t option, std::int32_t value) {
  return result(setsockopt(fd.value, SOL_SOCKET, option, &value, sizeof(value)));
}

// {pid, uid, gid} of whoever connected, listened, or made the pair.
std::int64_t socket_peer_credentials(Fd fd, Bytes out) {
  if (out.length != sizeof(ucred)) return -EINVAL;
  socklen_t length = sizeof(ucred);
  return result(getsockopt(fd.value, SOL_SOCKET, SO_PEERCRED, out.data, &length));
}

bool part_of(const Bytes& bytes, std::uint32_t offset, std::uint32_t length) {
  return offset <= bytes.length && length <= bytes.length - offset;
}

// Room for the descriptors, aligned as a header must be. Not initialised: that costs as much as the system call.
struct Control {
  alignas(cmsghdr) std::uint8_t bytes[CMSG_SPACE(kMaxFds * sizeof(int))];
};

// Sends part of the bytes, with every descriptor of `fds`. How many bytes went: the descriptors went with the first.
std::int64_t socket_send(Fd fd, Bytes bytes, std::uint32_t offset, std::uint32_t length, std::optional<Bytes> fds,
                         std::uint32_t flags) {
  if (!part_of(bytes, offset, length)) return -EINVAL;
  iovec part{bytes.data + offset, length};
  msghdr message{};
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  Control control;
  if (fds && fds->length > 0) {
    if (fds->length > kMaxFds * sizeof(int)) return -EINVAL;
    message.msg_control = control.bytes;
    message.msg_controllen = CMSG_SPACE(fds->length);
    cmsghdr* header = CMSG_FIRSTHDR(&message);
    header->cmsg_level = SOL_SOCKET;
    header->cmsg_type = SCM_RIGHTS;
    header->cmsg_len = CMSG_LEN(fds->length);
    std::memcpy(CMSG_DATA(header), fds->data, fds->length);
  }
  return result(sendmsg(fd.value, &message, static_cast<int>(flags) | MSG_NOSIGNAL));
}

// Receives into part of the bytes. `out` is an Int32Array: [0] is how many descriptors came, [1] the message's flags
// (MSG_TRUNC, MSG_CTRUNC), and from [2] on the descriptors, for as many as there is room. One array and no object,
// because this is the hot path of vfio-user.
std::int64_t socket_receive(Napi::Env env, Fd fd, Bytes bytes, std::uint32_t offset, std::uint32_t length, Bytes out,
                            std::uint32_t flags) {
  constexpr std::size_t kHead = 2 * sizeof(std::int32_t);
  if (!part_of(bytes, offset, length) || out.length < kHead) return -EINVAL;
  const std::size_t room = std::min((out.length - kHead) / sizeof(int), kMaxFds);
  iovec part{bytes.data + offset, length};
  msghdr message{};
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  Control control;
  if (room > 0) {
    message.msg_control = control.bytes;
    // Not CMSG_SPACE: its padding would let the kernel install one more.
    message.msg_controllen = CMSG_LEN(room * sizeof(int));
  }
  std::int32_t head[2] = {0, 0};
  const ssize_t received = recvmsg(fd.value, &message, static_cast<int>(flags) | MSG_CMSG_CLOEXEC);
  if (received < 0) {
    const int error = errno;
    std::memcpy(out.data, head, kHead);
    return -error;
  }
  head[1] = message.msg_flags & (MSG_TRUNC | MSG_CTRUNC);
  for (cmsghdr* header = CMSG_FIRSTHDR(&message); header != nullptr; header = CMSG_NXTHDR(&message, header)) {
    if (header->cmsg_level != SOL_SOCKET || header->cmsg_type != SCM_RIGHTS) continue;
    const std::size_t count = (header->cmsg_len - CMSG_LEN(0)) / sizeof(int);
    for (std::size_t i = 0; i < count; i++) {
      int each = -1;
      std::memcpy(&each, CMSG_DATA(header) + i * sizeof(int), sizeof(int));
      State::of(env).own_fd(each);
      std::memcpy(out.data + kHead + static_cast<std::size_t>(head[0]) * sizeof(int), &each, sizeof(int));
      head[0]++;
    }
  }
  std::memcpy(out.data, head, kHead);
  return received;
}

}  // namespace

void bind_socket(Napi::Object exports) {
  bind<unix_socket>(exports, "socket");
  bind<unix_socketpair>(exports, "socketpair");
  bind<unix_bind>(exports, "socketBind");
  bind<unix_listen>(exports, "socketListen");
  bind<unix_accept>(exports, "socketAccept");
  bind<unix_connect>(exports, "socketConnect");
  bind<socket_shutdown>(exports, "socketShutdown");
  bind<socket_get_option>(exports, "socketGetOption");
  bind<socket_set_option>(exports, "socketSetOption");
  bind<socket_peer_credentials>(exports, "socketPeerCredentials");
  bind<socket_send>(exports, "sendmsg");
  bind<socket_receive>(exports, "recvmsg");
}

}  // namespace vfio
