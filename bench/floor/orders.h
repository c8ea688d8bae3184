/*
 * What every floor program is: it takes orders from standard input, one on a line, and says for each how long it took,
 * in nanoseconds of the wall's clock and of CPU time.
 */
#ifndef VFIO_BENCH_FLOOR_ORDERS_H
#define VFIO_BENCH_FLOOR_ORDERS_H

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

static uint64_t orders_began[2], orders_took[2];
static int orders_running;

static uint64_t orders_clock(clockid_t clock) {
  struct timespec time;
  clock_gettime(clock, &time);
  return (uint64_t)time.tv_sec * 1000000000u + (uint64_t)time.tv_nsec;
}

/* An order is timed from here on, instead of from its beginning: what came before was preparation. */
static inline void start_clock(void) {
  orders_running = 1;
  orders_began[1] = orders_clock(CLOCK_PROCESS_CPUTIME_ID);
  orders_began[0] = orders_clock(CLOCK_MONOTONIC);
}

/* An order is timed until here, instead of until its end. */
static inline void stop_clock(void) {
  if (!orders_running) return;
  orders_took[0] = orders_clock(CLOCK_MONOTONIC) - orders_began[0];
  orders_took[1] = orders_clock(CLOCK_PROCESS_CPUTIME_ID) - orders_began[1];
  orders_running = 0;
}

static inline void fail(const char* what) {
  perror(what);
  exit(1);
}

/* Takes orders until there are no more. `obey` returns whether it knows the order. */
static inline int take_orders(int (*obey)(const char* line)) {
  char line[256];
  while (fgets(line, sizeof line, stdin) != NULL) {
    start_clock();
    if (!obey(line)) {
      fprintf(stderr, "no such order: %s", line);
      return 1;
    }
    stop_clock();
    printf("%llu %llu\n", (unsigned long long)orders_took[0], (unsigned long long)orders_took[1]);
    fflush(stdout);
  }
  return 0;
}

#endif
