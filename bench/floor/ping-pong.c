/*
 * The floor under vfio-user: what two C programs need for the same exchange over the same kind of socket.
 *
 * It starts a second process, which answers, and then takes orders (orders.h):
 *
 *   message <request> <reply> <count>   round trips of that many bytes there and back
 *   post <request> <count>              messages that are not answered, and one at the end that is
 *   copy <in|out> <bytes> <count>       the other process copies so often between memory of its own and a shared memfd
 *   map <bytes> <count>                 a memfd travels, is mapped there, and unmapped: two round trips
 *   event <count>                       a message there, an eventfd back
 *   flood <count>                       the other process signals an eventfd so many times; heard are all of them
 *
 * Both sides do as the package does: they block in poll() and take with one recvmsg() what has come. Nothing is
 * decoded, and what comes is believed.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "orders.h"

#define MOST_BYTES (2u << 20)

enum kind { MESSAGE, COPY_IN, COPY_OUT, MAP, UNMAP, RING, FLOOD };

/* What every message begins with; the rest of it is filling. */
struct header {
  uint32_t kind;
  /* Of the message, with the header. */
  uint32_t size;
  /* Of the reply that is wanted; 0 for none. */
  uint32_t reply;
  /* How many bytes it is about. */
  uint32_t length;
  uint32_t count;
};

/* A socket and what has come from it and is not used yet. */
struct peer {
  int socket;
  char* bytes;
  size_t start;
  size_t end;
  /* Came beside the bytes; -1 for none. */
  int fd;
};

static void* reserve(size_t length) {
  char* memory = malloc(length);
  if (memory == NULL) fail("malloc");
  /* Pages are made here and not while something is timed. */
  memset(memory, 1, length);
  return memory;
}

static void wait_readable(int fd) {
  struct pollfd entry = {.fd = fd, .events = POLLIN};
  while (poll(&entry, 1, -1) < 0)
    if (errno != EINTR) fail("poll");
}

static void send_message(int socket, const void* bytes, size_t size, int fd) {
  union {
    struct cmsghdr header;
    char room[CMSG_SPACE(sizeof(int))];
  } control;
  for (size_t sent = 0; sent < size;) {
    struct iovec part = {.iov_base = (char*)bytes + sent, .iov_len = size - sent};
    struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1};
    if (fd >= 0 && sent == 0) {
      message.msg_control = control.room;
      message.msg_controllen = sizeof control.room;
      struct cmsghdr* entry = CMSG_FIRSTHDR(&message);
      entry->cmsg_level = SOL_SOCKET;
      entry->cmsg_type = SCM_RIGHTS;
      entry->cmsg_len = CMSG_LEN(sizeof(int));
      memcpy(CMSG_DATA(entry), &fd, sizeof fd);
    }
    ssize_t done = sendmsg(socket, &message, MSG_NOSIGNAL);
    if (done < 0 && errno != EINTR) fail("sendmsg");
    if (done > 0) sent += (size_t)done;
  }
}

/* The next message, or NULL when the other side is gone. It is there until the next call. */
static struct header* receive_message(struct peer* peer) {
  for (;;) {
    struct header* header = (struct header*)(peer->bytes + peer->start);
    size_t there = peer->end - peer->start;
    if (there >= sizeof *header && there >= header->size) {
      peer->start += header->size;
      return header;
    }
    if (there == 0 || peer->start > 0) {
      memmove(peer->bytes, peer->bytes + peer->start, there);
      peer->start = 0;
      peer->end = there;
    }
    char control[CMSG_SPACE(sizeof(int))];
    struct iovec part = {.iov_base = peer->bytes + peer->end, .iov_len = MOST_BYTES - peer->end};
    struct msghdr message = {
        .msg_iov = &part, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof control};
    wait_readable(peer->socket);
    ssize_t done = recvmsg(peer->socket, &message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
    if (done == 0) return NULL;
    if (done < 0) {
      if (errno == EINTR || errno == EAGAIN) continue;
      if (errno == ECONNRESET) return NULL;
      fail("recvmsg");
    }
    struct cmsghdr* entry = CMSG_FIRSTHDR(&message);
    if (entry != NULL && entry->cmsg_type == SCM_RIGHTS) memcpy(&peer->fd, CMSG_DATA(entry), sizeof peer->fd);
    peer->end += (size_t)done;
  }
}

static void signal_eventfd(int eventfd, uint64_t count) {
  if (write(eventfd, &count, sizeof count) != sizeof count) fail("write to the eventfd");
}

static uint64_t wait_eventfd(int eventfd) {
  uint64_t count;
  wait_readable(eventfd);
  if (read(eventfd, &count, sizeof count) != sizeof count) fail("read of the eventfd");
  return count;
}

/* Never inlined: a compiler that saw the loop could leave copies out. */
__attribute__((noinline)) static void copy(char* to, const char* from, size_t length) { memcpy(to, from, length); }

static int fits(uint32_t size) { return size >= sizeof(struct header) && size <= MOST_BYTES; }

/* The other process. */
static void answer(struct peer* peer, char* shared, int eventfd) {
  char* own = reserve(MOST_BYTES);
  char* reply = reserve(MOST_BYTES);
  void* mapped = NULL;
  size_t mapped_length = 0;
  struct header* request;
  while ((request = receive_message(peer)) != NULL) {
    switch (request->kind) {
      case COPY_IN:
        for (uint32_t i = 0; i < request->count; i++) copy(own, shared, request->length);
        break;
      case COPY_OUT:
        for (uint32_t i = 0; i < request->count; i++) copy(shared, own, request->length);
        break;
      case MAP:
        mapped_length = request->length;
        mapped = mmap(NULL, mapped_length, PROT_READ | PROT_WRITE, MAP_SHARED, peer->fd, 0);
        if (mapped == MAP_FAILED) fail("mmap");
        close(peer->fd);
        peer->fd = -1;
        break;
      case UNMAP:
        munmap(mapped, mapped_length);
        break;
      case RING:
        signal_eventfd(eventfd, 1);
        break;
      case FLOOD:
        for (uint32_t i = 0; i < request->count; i++) signal_eventfd(eventfd, 1);
        break;
    }
    if (request->reply > 0) {
      struct header header = {.kind = request->kind, .size = request->reply};
      memcpy(reply, &header, sizeof header);
      send_message(peer->socket, reply, header.size, -1);
    }
  }
}

static void ask(struct peer* peer, char* message, struct header header, int fd) {
  memcpy(message, &header, sizeof header);
  send_message(peer->socket, message, header.size, fd);
  if (header.reply == 0) return;
  if (receive_message(peer) == NULL) {
    fprintf(stderr, "the other process is gone\n");
    exit(1);
  }
}

static int make_memfd(size_t length) {
  int fd = memfd_create("floor", MFD_CLOEXEC);
  if (fd < 0 || ftruncate(fd, (off_t)length) != 0) fail("memfd_create");
  return fd;
}

/* What the orders work with. */
static struct peer* peer;
static char* message;
static int eventfd_number;

static int obey(const char* line) {
  uint32_t request, reply, length, count;
  char direction[4];
  if (sscanf(line, "message %u %u %u", &request, &reply, &count) == 3) {
    if (!fits(request) || !fits(reply)) return 0;
    struct header header = {.kind = MESSAGE, .size = request, .reply = reply};
    for (uint32_t i = 0; i < count; i++) ask(peer, message, header, -1);
    return 1;
  }
  if (sscanf(line, "post %u %u", &request, &count) == 2) {
    if (!fits(request)) return 0;
    struct header header = {.kind = MESSAGE, .size = request};
    for (uint32_t i = 0; i < count; i++) ask(peer, message, header, -1);
    header.reply = sizeof header;
    ask(peer, message, header, -1);
    return 1;
  }
  if (sscanf(line, "copy %3s %u %u", direction, &length, &count) == 3) {
    if (length > MOST_BYTES) return 0;
    uint32_t kind = strcmp(direction, "in") == 0 ? COPY_IN : COPY_OUT;
    struct header header = {.kind = kind, .size = 32, .reply = 36, .length = length, .count = count};
    ask(peer, message, header, -1);
    return 1;
  }
  if (sscanf(line, "map %u %u", &length, &count) == 2) {
    int fd = make_memfd(length);
    struct header map = {.kind = MAP, .size = 48, .reply = 20, .length = length};
    struct header unmap = {.kind = UNMAP, .size = 40, .reply = 40};
    for (uint32_t i = 0; i < count; i++) {
      ask(peer, message, map, fd);
      ask(peer, message, unmap, -1);
    }
    close(fd);
    return 1;
  }
  if (sscanf(line, "event %u", &count) == 1) {
    struct header header = {.kind = RING, .size = 36};
    for (uint32_t i = 0; i < count; i++) {
      ask(peer, message, header, -1);
      wait_eventfd(eventfd_number);
    }
    return 1;
  }
  if (sscanf(line, "flood %u", &count) == 1) {
    struct header header = {.kind = FLOOD, .size = 36, .count = count};
    ask(peer, message, header, -1);
    for (uint64_t heard = 0; heard < count;) heard += wait_eventfd(eventfd_number);
    return 1;
  }
  return 0;
}

int main(void) {
  int sockets[2];
  if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sockets) != 0) fail("socketpair");
  int memfd = make_memfd(MOST_BYTES);
  char* shared = mmap(NULL, MOST_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, memfd, 0);
  if (shared == MAP_FAILED) fail("mmap");
  memset(shared, 1, MOST_BYTES);
  eventfd_number = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  if (eventfd_number < 0) fail("eventfd");
  pid_t other = fork();
  if (other < 0) fail("fork");
  struct peer self = {.socket = sockets[other == 0], .bytes = reserve(MOST_BYTES), .fd = -1};
  close(sockets[other != 0]);
  if (other == 0) {
    answer(&self, shared, eventfd_number);
    return 0;
  }
  peer = &self;
  message = reserve(MOST_BYTES);
  int result = take_orders(obey);
  close(self.socket);
  waitpid(other, NULL, 0);
  return result;
}
