/*
 * Both ends of an interrupt: what signals the eventfd, and the floor under what hears of it.
 *
 * It takes orders (orders.h). Each is so many rounds, and is answered with the median of their times as if each round
 * had taken that long:
 *
 *   ring <count>   signals the eventfd at descriptor 3, and is answered by the one at descriptor 4
 *   loop <count>   the same with a thread of its own at the other end, which waits in epoll as an event loop does
 *   wait <count>   with one that waits in poll()
 *   spin <count>   with one that reads again and again
 *
 * A round begins when the other end has gone to sleep, and ends when its answer is seen. Who signals does not sleep
 * meanwhile: waking it up is no part of the time.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "orders.h"

/* An event loop is back in its sleep long before. */
#define PAUSE_NS 50000

struct line {
  int signal;
  int answer;
};

static void add(int eventfd) {
  uint64_t one = 1;
  if (write(eventfd, &one, sizeof one) != sizeof one) fail("write to an eventfd");
}

static int take(int eventfd) {
  uint64_t count;
  if (read(eventfd, &count, sizeof count) == sizeof count) return 1;
  if (errno != EAGAIN) fail("read of an eventfd");
  return 0;
}

static int compare(const void* a, const void* b) {
  uint64_t x = *(const uint64_t*)a, y = *(const uint64_t*)b;
  return (x > y) - (x < y);
}

static void ring(struct line line, uint32_t count) {
  uint64_t* times = malloc(count * sizeof *times);
  if (times == NULL) fail("malloc");
  for (uint32_t i = 0; i < count; i++) {
    uint64_t rested = orders_clock(CLOCK_MONOTONIC) + PAUSE_NS;
    while (orders_clock(CLOCK_MONOTONIC) < rested) continue;
    uint64_t began = orders_clock(CLOCK_MONOTONIC);
    add(line.signal);
    while (!take(line.answer)) continue;
    times[i] = orders_clock(CLOCK_MONOTONIC) - began;
  }
  stop_clock();
  qsort(times, count, sizeof *times, compare);
  orders_took[0] = times[count / 2] * count;
  free(times);
}

/* ---- the other end -------------------------------------------------------------------------------------------------
 */

enum how { LOOP, WAIT, SPIN };

struct listener {
  struct line line;
  enum how how;
  uint32_t count;
};

static void* listen_for(void* argument) {
  struct listener* self = argument;
  int loop = epoll_create1(EPOLL_CLOEXEC);
  struct epoll_event event = {.events = EPOLLIN, .data = {.fd = self->line.signal}};
  if (loop < 0 || epoll_ctl(loop, EPOLL_CTL_ADD, self->line.signal, &event) != 0) fail("epoll");
  for (uint32_t heard = 0; heard < self->count;) {
    if (self->how == LOOP) {
      if (epoll_wait(loop, &event, 1, -1) != 1) continue;
    } else if (self->how == WAIT) {
      struct pollfd entry = {.fd = self->line.signal, .events = POLLIN};
      if (poll(&entry, 1, -1) != 1) continue;
    }
    if (!take(self->line.signal)) continue;
    heard++;
    add(self->line.answer);
  }
  close(loop);
  return NULL;
}

static int make_eventfd(void) {
  int fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  if (fd < 0) fail("eventfd");
  return fd;
}

static void ring_listener(enum how how, uint32_t count) {
  struct listener listener = {.line = {make_eventfd(), make_eventfd()}, .how = how, .count = count};
  pthread_t thread;
  if (pthread_create(&thread, NULL, listen_for, &listener) != 0) fail("pthread_create");
  ring(listener.line, count);
  pthread_join(thread, NULL);
  close(listener.line.signal);
  close(listener.line.answer);
}

static int obey(const char* line) {
  static const char* const names[] = {[LOOP] = "loop", [WAIT] = "wait", [SPIN] = "spin"};
  char name[8];
  uint32_t count;
  if (sscanf(line, "%7s %u", name, &count) != 2 || count == 0) return 0;
  if (strcmp(name, "ring") == 0) {
    ring((struct line){3, 4}, count);
    return 1;
  }
  for (enum how how = LOOP; how <= SPIN; how++) {
    if (strcmp(name, names[how]) != 0) continue;
    ring_listener(how, count);
    return 1;
  }
  return 0;
}

int main(void) { return take_orders(obey); }
