/*
 * Counts how often a process touches 8 bytes of its memory, by a hardware watchpoint (perf_event_open): watch PID
 * ADDRESS.
 *
 * Says "ready"; then, for each line on its standard input, how many accesses there were since the last one. Ends with
 * 77 where the machine has no watchpoints, or this user may not set one.
 */
#include <linux/hw_breakpoint.h>
#include <linux/perf_event.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <unistd.h>

int main(int argc, char** argv) {
  if (argc != 3) return 2;
  struct perf_event_attr attributes = {
      .type = PERF_TYPE_BREAKPOINT,
      .size = sizeof attributes,
      .bp_type = HW_BREAKPOINT_RW,
      .bp_addr = strtoull(argv[2], NULL, 10),
      .bp_len = HW_BREAKPOINT_LEN_8,
      .exclude_kernel = 1,
      .exclude_hv = 1,
  };
  int event = (int)syscall(SYS_perf_event_open, &attributes, atoi(argv[1]), -1, -1, PERF_FLAG_FD_CLOEXEC);
  if (event < 0) {
    perror("perf_event_open");
    return 77;
  }
  puts("ready");
  fflush(stdout);
  char line[16];
  while (fgets(line, sizeof line, stdin) != NULL) {
    uint64_t count = 0;
    if (read(event, &count, sizeof count) != sizeof count || ioctl(event, PERF_EVENT_IOC_RESET, 0) != 0) {
      perror("watchpoint");
      return 1;
    }
    printf("%llu\n", (unsigned long long)count);
    fflush(stdout);
  }
  return 0;
}
