/*
 * What the floor programs take of VFIO and iommufd. A distribution's <linux/vfio.h> is older than its kernels may be,
 * and <linux/iommufd.h> is often not there. The layouts are those of the kernel's include/uapi/linux/.
 */
#ifndef VFIO_BENCH_FLOOR_UAPI_H
#define VFIO_BENCH_FLOOR_UAPI_H

#include <stdint.h>
#include <sys/ioctl.h>

/* Linux numbers these without a direction and without a size. */
#define REQUEST(number) _IO(';', number)

#define VFIO_SET_IOMMU REQUEST(102)
#define VFIO_GROUP_SET_CONTAINER REQUEST(104)
#define VFIO_GROUP_UNSET_CONTAINER REQUEST(105)
#define VFIO_GROUP_GET_DEVICE_FD REQUEST(106)
#define VFIO_DEVICE_GET_REGION_INFO REQUEST(108)
#define VFIO_DEVICE_SET_IRQS REQUEST(110)
#define VFIO_IOMMU_MAP_DMA REQUEST(113)
#define VFIO_IOMMU_UNMAP_DMA REQUEST(114)
#define VFIO_DEVICE_BIND_IOMMUFD REQUEST(118)
#define VFIO_DEVICE_ATTACH_IOMMUFD_PT REQUEST(119)

#define VFIO_DMA_MAP_FLAG_READ 1
#define VFIO_DMA_MAP_FLAG_WRITE 2
#define VFIO_DMA_MAP_FLAG_VADDR 4
#define VFIO_DMA_UNMAP_FLAG_ALL 2
#define VFIO_DMA_UNMAP_FLAG_VADDR 4

#define VFIO_IRQ_SET_DATA_NONE 1
#define VFIO_IRQ_SET_DATA_EVENTFD 4
#define VFIO_IRQ_SET_ACTION_TRIGGER 32
#define VFIO_PCI_MSI_IRQ_INDEX 1

struct vfio_iommu_type1_dma_map {
  uint32_t argsz, flags;
  uint64_t vaddr, iova, size;
};

struct vfio_iommu_type1_dma_unmap {
  uint32_t argsz, flags;
  uint64_t iova, size;
};

struct vfio_region_info {
  uint32_t argsz, flags, index, cap_offset;
  uint64_t size, offset;
};

struct vfio_irq_set {
  uint32_t argsz, flags, index, start, count;
};

struct vfio_device_bind_iommufd {
  uint32_t argsz, flags;
  int32_t iommufd;
  uint32_t out_devid;
};

struct vfio_device_attach_iommufd_pt {
  uint32_t argsz, flags, pt_id, pasid;
};

#define IOMMU_IOAS_ALLOC REQUEST(0x81)
#define IOMMU_IOAS_COPY REQUEST(0x83)
#define IOMMU_IOAS_MAP REQUEST(0x85)
#define IOMMU_IOAS_UNMAP REQUEST(0x86)
#define IOMMU_IOAS_MAP_FILE REQUEST(0x8f)
#define IOMMU_IOAS_CHANGE_PROCESS REQUEST(0x92)

#define IOMMU_IOAS_MAP_FIXED_IOVA 1
#define IOMMU_IOAS_MAP_WRITEABLE 2
#define IOMMU_IOAS_MAP_READABLE 4

struct iommu_ioas_alloc {
  uint32_t size, flags, out_ioas_id;
};

struct iommu_ioas_map {
  uint32_t size, flags, ioas_id, reserved;
  uint64_t user_va, length, iova;
};

struct iommu_ioas_map_file {
  uint32_t size, flags, ioas_id;
  int32_t fd;
  uint64_t start, length, iova;
};

struct iommu_ioas_copy {
  uint32_t size, flags, dst_ioas_id, src_ioas_id;
  uint64_t length, dst_iova, src_iova;
};

struct iommu_ioas_unmap {
  uint32_t size, ioas_id;
  uint64_t iova, length;
};

struct iommu_ioas_change_process {
  uint32_t size, reserved;
};

#endif
