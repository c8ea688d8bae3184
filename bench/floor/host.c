/*
 * The floor of what needs no device: requests to KVM, registers, memory, tables. It takes orders (orders.h):
 *
 *   refused <count>             KVM_IRQFD with a flag that no kernel knows
 *   message <count>             KVM_SIGNAL_MSI to a machine with a vCPU that sleeps
 *   read <count>                loads of 32 bits from shared memory
 *   write <count>               stores of 32 bits
 *   allocate <bytes> <count>    shared memory with a descriptor, made, sealed, mapped and given back
 *   pool <count>                a block from a list of free ones, and back
 *   iova <live> <count>         addresses freed and allocated, lowest first, with so many others allocated
 *   lookup <mappings> <count>   which of so many mappings an address lies in
 *   dirty <pages> <run> <count> the parts of a bitmap in which `run` pages of each 64 are dirty
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/kvm.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "orders.h"

#define PAGE 4096u

/* Results go here, so that no compiler leaves the work out. */
static volatile uint64_t sink;

static int machine(void) {
  static int vm = -1;
  if (vm >= 0) return vm;
  int kvm = open("/dev/kvm", O_RDWR | O_CLOEXEC);
  if (kvm < 0) fail("/dev/kvm");
  vm = ioctl(kvm, KVM_CREATE_VM, 0);
  if (vm < 0) fail("KVM_CREATE_VM");
  if (ioctl(vm, KVM_CREATE_IRQCHIP, 0) < 0) fail("KVM_CREATE_IRQCHIP");
  /* Without one, KVM refuses messages. */
  if (ioctl(vm, KVM_CREATE_VCPU, 0) < 0) fail("KVM_CREATE_VCPU");
  return vm;
}

/* Never inlined, as a shim is: it is given its arguments, and fills in the request. */
__attribute__((noinline)) static long irqfd(int vm, int eventfd, uint32_t gsi, uint32_t flags, int resample) {
  struct kvm_irqfd request = {.fd = (uint32_t)eventfd, .gsi = gsi, .flags = flags, .resamplefd = (uint32_t)resample};
  return ioctl(vm, KVM_IRQFD, &request) < 0 ? -errno : 0;
}

__attribute__((noinline)) static long signal_msi(int vm, uint64_t address, uint32_t data) {
  struct kvm_msi request = {.address_lo = (uint32_t)address, .address_hi = (uint32_t)(address >> 32), .data = data};
  long status = ioctl(vm, KVM_SIGNAL_MSI, &request);
  return status < 0 ? -errno : status;
}

static void allocate(size_t length) {
  int fd = memfd_create("vfio-dma", MFD_CLOEXEC | MFD_ALLOW_SEALING);
  if (fd < 0 || ftruncate(fd, (off_t)length) != 0) fail("memfd_create");
  if (fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) != 0) fail("F_ADD_SEALS");
  void* memory = mmap(NULL, length, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  if (memory == MAP_FAILED) fail("mmap");
  munmap(memory, length);
  close(fd);
}

/* ---- pool ----------------------------------------------------------------------------------------------------------
 */

struct block {
  uint64_t iova;
  struct block* next;
};
static struct block blocks[1024];
static struct block* free_blocks;

__attribute__((noinline)) static struct block* take_block(void) {
  struct block* block = free_blocks;
  free_blocks = block->next;
  return block;
}

__attribute__((noinline)) static void give_block(struct block* block) {
  block->next = free_blocks;
  free_blocks = block;
}

/* ---- addresses: holes in order, the lowest that fits
 * ------------------------------------------------------------------ */

struct hole {
  uint64_t start, end;
};
static struct hole* holes;
static size_t hole_count;

static size_t hole_after(uint64_t address) {
  size_t low = 0, high = hole_count;
  while (low < high) {
    size_t middle = (low + high) / 2;
    if (holes[middle].start <= address)
      low = middle + 1;
    else
      high = middle;
  }
  return low;
}

static uint64_t take_address(uint64_t length) {
  for (size_t i = 0; i < hole_count; i++) {
    if (holes[i].end - holes[i].start < length) continue;
    uint64_t found = holes[i].start;
    holes[i].start += length;
    if (holes[i].start == holes[i].end) {
      hole_count--;
      memmove(holes + i, holes + i + 1, (hole_count - i) * sizeof *holes);
    }
    return found;
  }
  fprintf(stderr, "no address is left\n");
  exit(1);
}

static void give_address(uint64_t start, uint64_t length) {
  size_t after = hole_after(start);
  int joins_after = after < hole_count && holes[after].start == start + length;
  if (after > 0 && holes[after - 1].end == start) {
    holes[after - 1].end = start + length;
    if (joins_after) {
      holes[after - 1].end = holes[after].end;
      hole_count--;
      memmove(holes + after, holes + after + 1, (hole_count - after) * sizeof *holes);
    }
  } else if (joins_after) {
    holes[after].start = start;
  } else {
    memmove(holes + after + 1, holes + after, (hole_count - after) * sizeof *holes);
    holes[after] = (struct hole){start, start + length};
    hole_count++;
  }
}

/* ---- orders --------------------------------------------------------------------------------------------------------
 */

/* The same numbers as in bench/memory.ts. */
static uint32_t random_state;
static uint32_t next_random(void) {
  random_state = random_state * 1664525u + 1013904223u;
  return random_state;
}

static void addresses(uint32_t live, uint32_t count) {
  holes = malloc((live + 2) * sizeof *holes);
  uint64_t* allocated = malloc(live * sizeof *allocated);
  if (holes == NULL || allocated == NULL) fail("malloc");
  holes[0] = (struct hole){1ull << 32, 1ull << 39};
  hole_count = 1;
  for (uint32_t i = 0; i < live; i++) allocated[i] = take_address(PAGE);
  random_state = 1;
  start_clock();
  for (uint32_t i = 0; i < count; i++) {
    uint32_t at = next_random() % live;
    give_address(allocated[at], PAGE);
    allocated[at] = take_address(PAGE);
  }
  stop_clock();
  free(allocated);
  free(holes);
}

static void look_up(uint32_t mappings, uint32_t count) {
  holes = malloc(mappings * sizeof *holes);
  if (holes == NULL) fail("malloc");
  for (uint64_t i = 0; i < mappings; i++) holes[i] = (struct hole){i * 2 * PAGE, (i * 2 + 1) * PAGE};
  hole_count = mappings;
  random_state = 1;
  start_clock();
  for (uint32_t i = 0; i < count; i++) {
    uint64_t address = (uint64_t)(next_random() % mappings) * 2 * PAGE + 5;
    size_t after = hole_after(address);
    sink += after > 0 && address < holes[after - 1].end ? holes[after - 1].start : 0;
  }
  stop_clock();
  free(holes);
}

__attribute__((noinline)) static void found_part(uint64_t offset, uint64_t length) { sink += offset + length; }

static void dirty_parts(const uint64_t* bitmap, uint32_t words) {
  int64_t first = -1;
  for (uint32_t at = 0; at < words; at++) {
    uint32_t bit = 0;
    while (bit < 64) {
      uint64_t rest = (first < 0 ? bitmap[at] : ~bitmap[at]) >> bit << bit;
      if (rest == 0) break;
      bit = (uint32_t)__builtin_ctzll(rest);
      int64_t page = (int64_t)at * 64 + bit;
      if (first < 0) {
        first = page;
      } else {
        found_part((uint64_t)first * PAGE, (uint64_t)(page - first) * PAGE);
        first = -1;
      }
    }
  }
  if (first >= 0) found_part((uint64_t)first * PAGE, ((uint64_t)words * 64 - (uint64_t)first) * PAGE);
}

static void dirty(uint32_t pages, uint32_t run, uint32_t count) {
  uint32_t words = pages / 64;
  uint64_t* bitmap = malloc(words * sizeof *bitmap);
  if (bitmap == NULL) fail("malloc");
  for (uint32_t i = 0; i < words; i++) bitmap[i] = run == 64 ? ~0ull : (1ull << run) - 1;
  start_clock();
  for (uint32_t i = 0; i < count; i++) dirty_parts(bitmap, words);
  stop_clock();
  free(bitmap);
}

static volatile uint32_t* shared;

static int obey(const char* line) {
  uint32_t count, length, run;
  if (sscanf(line, "refused %u", &count) == 1) {
    int vm = machine();
    start_clock();
    for (uint32_t i = 0; i < count; i++)
      if (irqfd(vm, 0, 5, 1u << 30, 0) != -EINVAL) fail("KVM_IRQFD");
    return 1;
  }
  if (sscanf(line, "message %u", &count) == 1) {
    int vm = machine();
    start_clock();
    for (uint32_t i = 0; i < count; i++) sink += (uint64_t)signal_msi(vm, 0xfee00000u, i & 0xff);
    return 1;
  }
  if (sscanf(line, "read %u", &count) == 1) {
    uint32_t sum = 0;
    for (uint32_t i = 0; i < count; i++) sum += shared[16];
    sink += sum;
    return 1;
  }
  if (sscanf(line, "write %u", &count) == 1) {
    for (uint32_t i = 0; i < count; i++) shared[16] = i;
    return 1;
  }
  if (sscanf(line, "allocate %u %u", &length, &count) == 2) {
    for (uint32_t i = 0; i < count; i++) allocate(length);
    return 1;
  }
  if (sscanf(line, "pool %u", &count) == 1) {
    for (uint32_t i = 0; i < count; i++) {
      struct block* block = take_block();
      sink += block->iova;
      give_block(block);
    }
    return 1;
  }
  if (sscanf(line, "iova %u %u", &length, &count) == 2) {
    addresses(length, count);
    return 1;
  }
  if (sscanf(line, "lookup %u %u", &length, &count) == 2) {
    look_up(length, count);
    return 1;
  }
  if (sscanf(line, "dirty %u %u %u", &length, &run, &count) == 3) {
    dirty(length, run, count);
    return 1;
  }
  return 0;
}

/* Node has threads. In a process with one thread the kernel need not count who uses a descriptor: some 10 ns of each
 * call. */
static void* stay(void* nothing) {
  for (;;) pause();
  return nothing;
}

int main(void) {
  pthread_t other;
  if (pthread_create(&other, NULL, stay, NULL) != 0) fail("pthread_create");
  int memfd = memfd_create("floor", MFD_CLOEXEC);
  if (memfd < 0 || ftruncate(memfd, PAGE) != 0) fail("memfd_create");
  shared = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, memfd, 0);
  if (shared == MAP_FAILED) fail("mmap");
  for (size_t i = 0; i < sizeof blocks / sizeof *blocks; i++) {
    blocks[i].iova = i * 256;
    give_block(&blocks[i]);
  }
  return take_orders(obey);
}
