/*
 * The floor of what takes VFIO: the same requests to the kernel, on a device and in a container of this program's own.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <pthread.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "orders.h"
#include "uapi.h"

/* Where the library puts its first mapping. */
#define BASE ((uint64_t)4 << 30)
#define PAGE 4096u

static int iommufd_mode, container, group = -1, device;
static uint32_t ioas;
/* Given up, and made again by "open": what is measured there. */
static unsigned type;
static char node[128], door[128], address[32];

static char* memory;
static uint64_t memory_length;
/* By file where the memory has one, as the library does. */
static int memory_file = -1;
/* How many mappings of a page there are beneath those that are measured. */
static uint64_t present;

static volatile uint32_t* bar;

/* ---- requests ---------------------------------------------------------------------------------------------------- */

static inline void dma_map(uint64_t iova, uint64_t offset, uint64_t length) {
  if (!iommufd_mode) {
    struct vfio_iommu_type1_dma_map map = {.argsz = sizeof map,
                                           .flags = VFIO_DMA_MAP_FLAG_READ | VFIO_DMA_MAP_FLAG_WRITE,
                                           .vaddr = (uintptr_t)memory + offset,
                                           .iova = iova,
                                           .size = length};
    if (ioctl(container, VFIO_IOMMU_MAP_DMA, &map) < 0) fail("VFIO_IOMMU_MAP_DMA");
    return;
  }
  const uint32_t flags = IOMMU_IOAS_MAP_FIXED_IOVA | IOMMU_IOAS_MAP_READABLE | IOMMU_IOAS_MAP_WRITEABLE;
  if (memory_file < 0) {
    struct iommu_ioas_map map = {.size = sizeof map,
                                 .flags = flags,
                                 .ioas_id = ioas,
                                 .user_va = (uintptr_t)memory + offset,
                                 .length = length,
                                 .iova = iova};
    if (ioctl(container, IOMMU_IOAS_MAP, &map) < 0) fail("IOMMU_IOAS_MAP");
    return;
  }
  struct iommu_ioas_map_file map = {.size = sizeof map,
                                    .flags = flags,
                                    .ioas_id = ioas,
                                    .fd = memory_file,
                                    .start = offset,
                                    .length = length,
                                    .iova = iova};
  if (ioctl(container, IOMMU_IOAS_MAP_FILE, &map) < 0) fail("IOMMU_IOAS_MAP_FILE");
}

static inline void dma_unmap(uint64_t iova, uint64_t length) {
  if (!iommufd_mode) {
    struct vfio_iommu_type1_dma_unmap unmap = {.argsz = sizeof unmap, .iova = iova, .size = length};
    if (ioctl(container, VFIO_IOMMU_UNMAP_DMA, &unmap) < 0) fail("VFIO_IOMMU_UNMAP_DMA");
    return;
  }
  struct iommu_ioas_unmap unmap = {.size = sizeof unmap, .ioas_id = ioas, .iova = iova, .length = length};
  if (ioctl(container, IOMMU_IOAS_UNMAP, &unmap) < 0) fail("IOMMU_IOAS_UNMAP");
}

static void dma_unmap_all(void) {
  if (iommufd_mode) {
    dma_unmap(0, UINT64_MAX);
    return;
  }
  struct vfio_iommu_type1_dma_unmap unmap = {.argsz = sizeof unmap, .flags = VFIO_DMA_UNMAP_FLAG_ALL};
  if (ioctl(container, VFIO_IOMMU_UNMAP_DMA, &unmap) < 0) fail("VFIO_IOMMU_UNMAP_DMA");
}

/* ---- a container with a device ----------------------------------------------------------------------------------- */

static int open_node(const char* path) {
  const int fd = open(path, O_RDWR | O_CLOEXEC);
  if (fd < 0) fail(path);
  return fd;
}

static void attach(void) {
  if (iommufd_mode) {
    container = open_node("/dev/iommu");
    struct iommu_ioas_alloc alloc = {.size = sizeof alloc};
    if (ioctl(container, IOMMU_IOAS_ALLOC, &alloc) < 0) fail("IOMMU_IOAS_ALLOC");
    ioas = alloc.out_ioas_id;
    device = open_node(door);
    struct vfio_device_bind_iommufd bind = {.argsz = sizeof bind, .iommufd = container};
    if (ioctl(device, VFIO_DEVICE_BIND_IOMMUFD, &bind) < 0) fail("VFIO_DEVICE_BIND_IOMMUFD");
    struct vfio_device_attach_iommufd_pt pt = {.argsz = sizeof pt, .pt_id = ioas};
    if (ioctl(device, VFIO_DEVICE_ATTACH_IOMMUFD_PT, &pt) < 0) fail("VFIO_DEVICE_ATTACH_IOMMUFD_PT");
    return;
  }
  container = open_node(node);
  group = open_node(door);
  if (ioctl(group, VFIO_GROUP_SET_CONTAINER, &container) < 0) fail("VFIO_GROUP_SET_CONTAINER");
  if (ioctl(container, VFIO_SET_IOMMU, type) < 0) fail("VFIO_SET_IOMMU");
  device = ioctl(group, VFIO_GROUP_GET_DEVICE_FD, address);
  if (device < 0) fail("VFIO_GROUP_GET_DEVICE_FD");
}

static void detach(void) {
  close(device);
  if (group >= 0) {
    if (ioctl(group, VFIO_GROUP_UNSET_CONTAINER) < 0) fail("VFIO_GROUP_UNSET_CONTAINER");
    close(group);
    group = -1;
  }
  close(container);
}

/* ---- memory ------------------------------------------------------------------------------------------------------ */

static void take_memory(void* start, uint64_t length) {
  if (start == MAP_FAILED) fail("mmap");
  memory = start;
  memory_length = length;
  for (uint64_t at = 0; at < length; at += PAGE) memory[at] = 1;
}

static void anonymous_memory(uint64_t length, int transparent) {
  const uint64_t huge = 2u << 20;
  char* start = mmap(NULL, length + huge, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (start == MAP_FAILED) fail("mmap");
  if (transparent) {
    start = (char*)(((uintptr_t)start + huge - 1) & ~(huge - 1));
    if (madvise(start, length, MADV_HUGEPAGE) < 0) fail("madvise");
  }
  take_memory(start, length);
}

/* ---- many at once ------------------------------------------------------------------------------------------------ */

struct worker {
  pthread_t thread;
  uint64_t iova, length, count;
};

static void* work(void* data) {
  const struct worker* worker = data;
  for (uint64_t i = 0; i < worker->count; i++) {
    dma_map(worker->iova, 0, worker->length);
    dma_unmap(worker->iova, worker->length);
  }
  return NULL;
}

static void run_threads(unsigned threads, uint64_t length, uint64_t count) {
  struct worker workers[16];
  for (unsigned i = 0; i < threads; i++) {
    workers[i] = (struct worker){.iova = BASE + i * length, .length = length, .count = count / threads};
    if (pthread_create(&workers[i].thread, NULL, work, &workers[i]) != 0) fail("pthread_create");
  }
  for (unsigned i = 0; i < threads; i++) pthread_join(workers[i].thread, NULL);
}

/* ---- live update ------------------------------------------------------------------------------------------------- */

/* A legacy container's memory passes on: its addresses go, and each mapping gets a new one. */
static void renew_addresses(uint64_t count) {
  struct vfio_iommu_type1_dma_unmap unmap = {.argsz = sizeof unmap,
                                             .flags = VFIO_DMA_UNMAP_FLAG_ALL | VFIO_DMA_UNMAP_FLAG_VADDR};
  if (ioctl(container, VFIO_IOMMU_UNMAP_DMA, &unmap) < 0) fail("VFIO_IOMMU_UNMAP_DMA");
  for (uint64_t i = 0; i < count; i++) {
    struct vfio_iommu_type1_dma_map map = {.argsz = sizeof map,
                                           .flags = VFIO_DMA_MAP_FLAG_VADDR,
                                           .vaddr = (uintptr_t)memory,
                                           .iova = BASE + i * PAGE,
                                           .size = PAGE};
    if (ioctl(container, VFIO_IOMMU_MAP_DMA, &map) < 0) fail("VFIO_IOMMU_MAP_DMA");
  }
}

static void change_process(void) {
  struct iommu_ioas_change_process change = {.size = sizeof change};
  if (ioctl(container, IOMMU_IOAS_CHANGE_PROCESS, &change) < 0) fail("IOMMU_IOAS_CHANGE_PROCESS");
}

/* A descriptor of another process. */
static int borrow(int pid, int fd) {
  const int process = (int)syscall(SYS_pidfd_open, pid, 0);
  if (process < 0) fail("pidfd_open");
  const int borrowed = (int)syscall(SYS_pidfd_getfd, process, fd, 0);
  if (borrowed < 0) fail("pidfd_getfd");
  close(process);
  return borrowed;
}

/* ---- the device -------------------------------------------------------------------------------------------------- */

static void map_bar(void) {
  struct vfio_region_info info = {.argsz = sizeof info};
  if (ioctl(device, VFIO_DEVICE_GET_REGION_INFO, &info) < 0) fail("VFIO_DEVICE_GET_REGION_INFO");
  bar = mmap(NULL, info.size, PROT_READ | PROT_WRITE, MAP_SHARED, device, (off_t)info.offset);
  if (bar == MAP_FAILED) fail("mmap");
}

/* Sends the first MSI to an eventfd, or with -1 to nobody. */
static void route_msi(int eventfd) {
  struct {
    struct vfio_irq_set set;
    int32_t eventfd;
  } request = {{.flags = VFIO_IRQ_SET_ACTION_TRIGGER, .index = VFIO_PCI_MSI_IRQ_INDEX}, eventfd};
  request.set.argsz = eventfd < 0 ? sizeof request.set : sizeof request;
  request.set.flags |= eventfd < 0 ? VFIO_IRQ_SET_DATA_NONE : VFIO_IRQ_SET_DATA_EVENTFD;
  request.set.count = eventfd < 0 ? 0 : 1;
  if (ioctl(device, VFIO_DEVICE_SET_IRQS, &request) < 0) fail("VFIO_DEVICE_SET_IRQS");
}

/* edu raises an interrupt when its register 0x60 is written, until what was written is in 0x64. */
static void interrupt(uint64_t count) {
  const int vector = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  route_msi(vector);
  /* As libuv's loop waits. */
  const int events = epoll_create1(EPOLL_CLOEXEC);
  struct epoll_event event = {.events = EPOLLIN};
  if (epoll_ctl(events, EPOLL_CTL_ADD, vector, &event) < 0) fail("epoll_ctl");
  start_clock();
  for (uint64_t i = 0; i < count; i++) {
    bar[0x60 / 4] = 1;
    if (epoll_wait(events, &event, 1, -1) != 1) fail("epoll_wait");
    uint64_t value;
    if (read(vector, &value, sizeof value) != sizeof value) fail("read");
    bar[0x64 / 4] = 1;
  }
  stop_clock();
  route_msi(-1);
  close(events);
  close(vector);
}

/* ---- orders ------------------------------------------------------------------------------------------------------ */

static int obey_about_memory(const char* line) {
  unsigned long long length, count;
  char text[128];
  if (sscanf(line, "memory anonymous %llu", &length) == 1) {
    anonymous_memory(length, 0);
  } else if (sscanf(line, "memory thp %llu", &length) == 1) {
    anonymous_memory(length, 1);
  } else if (sscanf(line, "memory %127s %llu", text, &length) == 2) {
    memory_file = open_node(text);
    take_memory(mmap(NULL, length, PROT_READ | PROT_WRITE, MAP_SHARED, memory_file, 0), length);
  } else if (sscanf(line, "fill %llu", &count) == 1) {
    for (present = 0; present < count; present++) dma_map(BASE + present * PAGE, 0, PAGE);
  } else {
    return 0;
  }
  return 1;
}

static int obey_about_mappings(const char* line) {
  unsigned long long length, count, from, to;
  unsigned threads;
  const uint64_t base = BASE + present * PAGE;
  if (sscanf(line, "map %llu %llu", &length, &count) == 2) {
    for (; count > 0; count--) {
      dma_map(base, 0, length);
      dma_unmap(base, length);
    }
  } else if (sscanf(line, "batch %llu %llu", &length, &count) == 2) {
    for (uint64_t i = 0; i < count; i++) dma_map(base + i * length, i * length % memory_length, length);
    stop_clock();
    dma_unmap(base, count * length);
  } else if (sscanf(line, "unmap %llu %llu", &length, &count) == 2) {
    for (uint64_t i = 0; i < count; i++) dma_map(base + i * length, i * length % memory_length, length);
    start_clock();
    for (uint64_t i = 0; i < count; i++) dma_unmap(base + i * length, length);
  } else if (sscanf(line, "unmap-range %llu %llu", &length, &count) == 2) {
    for (uint64_t i = 0; i < count; i++) dma_map(base + i * length, i * length % memory_length, length);
    start_clock();
    dma_unmap(base, count * length);
  } else if (sscanf(line, "unmap-all %llu %llu", &length, &count) == 2) {
    for (uint64_t i = 0; i < count; i++) dma_map(base + i * length, i * length % memory_length, length);
    start_clock();
    dma_unmap_all();
  } else if (sscanf(line, "threads %u %llu %llu", &threads, &length, &count) == 3) {
    run_threads(threads, length, count);
  } else if (sscanf(line, "copy %llu %llu", &length, &count) == 2) {
    from = base;
    to = base + length;
    dma_map(from, 0, length);
    start_clock();
    for (; count > 0; count--) {
      struct iommu_ioas_copy copy = {
          .size = sizeof copy,
          .flags = IOMMU_IOAS_MAP_FIXED_IOVA | IOMMU_IOAS_MAP_READABLE | IOMMU_IOAS_MAP_WRITEABLE,
          .dst_ioas_id = ioas,
          .src_ioas_id = ioas,
          .length = length,
          .dst_iova = to,
          .src_iova = from};
      if (ioctl(container, IOMMU_IOAS_COPY, &copy) < 0) fail("IOMMU_IOAS_COPY");
      dma_unmap(to, length);
    }
    stop_clock();
    dma_unmap(from, length);
  } else if (sscanf(line, "renew %llu", &count) == 1) {
    for (; count > 0; count--) renew_addresses(present);
  } else {
    return 0;
  }
  return 1;
}

static int obey(const char* line) {
  unsigned long long count;
  int pid, fd;
  if (sscanf(line, "legacy %127s %u %127s %31s", node, &type, door, address) == 4) {
    attach();
  } else if (sscanf(line, "iommufd %127s", door) == 1) {
    iommufd_mode = 1;
    attach();
  } else if (sscanf(line, "open %llu", &count) == 1) {
    for (; count > 0; count--) {
      detach();
      attach();
    }
  } else if (sscanf(line, "borrow container %d %d", &pid, &fd) == 2) {
    container = borrow(pid, fd);
  } else if (sscanf(line, "borrow device %d %d", &pid, &fd) == 2) {
    device = borrow(pid, fd);
    map_bar();
  } else if (sscanf(line, "change-process %llu", &count) == 1) {
    for (; count > 0; count--) change_process();
  } else if (sscanf(line, "read %llu", &count) == 1) {
    for (; count > 0; count--) (void)bar[1];
  } else if (sscanf(line, "write %llu", &count) == 1) {
    for (; count > 0; count--) bar[1] = (uint32_t)count;
  } else if (sscanf(line, "interrupt %llu", &count) == 1) {
    interrupt(count);
  } else {
    return obey_about_memory(line) || obey_about_mappings(line);
  }
  return 1;
}

int main(void) { return take_orders(obey); }
