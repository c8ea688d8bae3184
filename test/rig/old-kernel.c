/*
 * Runs a program for which the kernel has no VFIO_UNMAP_ALL, as Linux before 5.12: VFIO_CHECK_EXTENSION answers 0 for it.
 *
 * usage: old-kernel <program> [argument...]
 */
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <linux/vfio.h>
#include <stddef.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#ifndef VFIO_UNMAP_ALL
#define VFIO_UNMAP_ALL 9
#endif

/* The low halves of the arguments: the host is little-endian, and neither number has more than 32 bits. */
#define ARGUMENT(n) offsetof(struct seccomp_data, args[n])
#define UNLESS(value, skip) BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (value), 0, (skip))
#define LOAD(offset) BPF_STMT(BPF_LD | BPF_W | BPF_ABS, (offset))
#define RETURN(action) BPF_STMT(BPF_RET | BPF_K, (action))

int main(int argc, char **argv)
{
  struct sock_filter filter[] = {
    LOAD(offsetof(struct seccomp_data, nr)),
    UNLESS(SYS_ioctl, 5),
    LOAD(ARGUMENT(1)),
    UNLESS(VFIO_CHECK_EXTENSION, 3),
    LOAD(ARGUMENT(2)),
    UNLESS(VFIO_UNMAP_ALL, 1),
    /* An errno of 0 is a result of 0. */
    RETURN(SECCOMP_RET_ERRNO),
    RETURN(SECCOMP_RET_ALLOW),
  };
  struct sock_fprog program = { .len = sizeof filter / sizeof *filter, .filter = filter };

  if (argc < 2 || prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 ||
      prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) != 0) {
    perror("old-kernel");
    return 1;
  }
  execvp(argv[1], argv + 1);
  perror(argv[1]);
  return 127;
}
