// The VFIO interface as Linux 7.3 has it: constants, request numbers and argument layouts, under the kernel's own
// names.
//
// The layouts are ours because a distribution's <linux/vfio.h> is older than the interface that its kernels may offer;
// what a running kernel supports is asked at run time, by ioctl, never taken from a header. The facts are those of the
// kernel's include/uapi/linux/vfio.h and Documentation/driver-api/vfio.rst; .ci/check-uapi compares every number, size
// and offset with the newest kernel headers to be had.
//
// Here a structure is its fixed part only. What the kernel declares as a trailing array begins at sizeof(the
// structure). Never include <linux/vfio.h> in the same translation unit: its macros would replace these names.
//
// Left out: the POWER (sPAPR, EEH) and s390 CCW and AP parts, and what the kernel has withdrawn (v1 migration, NVLink).
#ifndef VFIO_NATIVE_UAPI_VFIO_H_
#define VFIO_NATIVE_UAPI_VFIO_H_

#include <cstddef>
#include <cstdint>

#include "ioctl.h"

namespace vfio::uapi {

inline constexpr int VFIO_API_VERSION = 0;

inline constexpr unsigned long VFIO_TYPE = ';';
inline constexpr unsigned long VFIO_BASE = 100;

constexpr unsigned long vfio_request(unsigned long number) { return io_request(VFIO_TYPE, VFIO_BASE + number); }

// ---- Extensions: arguments of VFIO_CHECK_EXTENSION; the IOMMU ones are also types for VFIO_SET_IOMMU.

inline constexpr std::uint32_t VFIO_TYPE1_IOMMU = 1;
inline constexpr std::uint32_t VFIO_SPAPR_TCE_IOMMU = 2;
inline constexpr std::uint32_t VFIO_TYPE1v2_IOMMU = 3;
inline constexpr std::uint32_t VFIO_DMA_CC_IOMMU = 4;
inline constexpr std::uint32_t VFIO_EEH = 5;
inline constexpr std::uint32_t VFIO_SPAPR_TCE_v2_IOMMU = 7;
inline constexpr std::uint32_t VFIO_NOIOMMU_IOMMU = 8;
inline constexpr std::uint32_t VFIO_UNMAP_ALL = 9;
inline constexpr std::uint32_t VFIO_UPDATE_VADDR = 10;

// ---- Capability chains of the INFO calls.

// `next` counts from the start of the whole INFO buffer; 0 ends the chain.
struct vfio_info_cap_header {
  std::uint16_t id;
  std::uint16_t version;
  std::uint32_t next;
};
static_assert(sizeof(vfio_info_cap_header) == 8);
static_assert(offsetof(vfio_info_cap_header, next) == 4);

// ---- Container (/dev/vfio/vfio).

inline constexpr unsigned long VFIO_GET_API_VERSION = vfio_request(0);
inline constexpr unsigned long VFIO_CHECK_EXTENSION = vfio_request(1);
inline constexpr unsigned long VFIO_SET_IOMMU = vfio_request(2);
static_assert(VFIO_GET_API_VERSION == 0x3b64);
static_assert(VFIO_CHECK_EXTENSION == 0x3b65);
static_assert(VFIO_SET_IOMMU == 0x3b66);

// ---- Group (/dev/vfio/<group>).

inline constexpr std::uint32_t VFIO_GROUP_FLAGS_VIABLE = 1u << 0;
inline constexpr std::uint32_t VFIO_GROUP_FLAGS_CONTAINER_SET = 1u << 1;

struct vfio_group_status {
  std::uint32_t argsz;
  std::uint32_t flags;
};
static_assert(sizeof(vfio_group_status) == 8);

inline constexpr unsigned long VFIO_GROUP_GET_STATUS = vfio_request(3);
inline constexpr unsigned long VFIO_GROUP_SET_CONTAINER = vfio_request(4);
inline constexpr unsigned long VFIO_GROUP_UNSET_CONTAINER = vfio_request(5);
inline constexpr unsigned long VFIO_GROUP_GET_DEVICE_FD = vfio_request(6);
static_assert(VFIO_GROUP_GET_STATUS == 0x3b67);
static_assert(VFIO_GROUP_SET_CONTAINER == 0x3b68);
static_assert(VFIO_GROUP_UNSET_CONTAINER == 0x3b69);
static_assert(VFIO_GROUP_GET_DEVICE_FD == 0x3b6a);

// ---- Device: information.

inline constexpr std::uint32_t VFIO_DEVICE_FLAGS_RESET = 1u << 0;
inline constexpr std::uint32_t VFIO_DEVICE_FLAGS_PCI = 1u << 1;
inline constexpr std::uint32_t VFIO_DEVICE_FLAGS_PLATFORM = 1u << 2;
inline constexpr std::uint32_t VFIO_DEVICE_FLAGS_AMBA = 1u << 3;
inline constexpr std::uint32_t VFIO_DEVICE_FLAGS_CCW = 1u << 4;
inline constexpr std::uint32_t VFIO_DEVICE_FLAGS_AP = 1u << 5;
inline constexpr std::uint32_t VFIO_DEVICE_FLAGS_FSL_MC = 1u << 6;
inline constexpr std::uint32_t VFIO_DEVICE_FLAGS_CAPS = 1u << 7;
inline constexpr std::uint32_t VFIO_DEVICE_FLAGS_CDX = 1u << 8;

struct vfio_device_info {
  std::uint32_t argsz;
  std::uint32_t flags;
  std::uint32_t num_regions;
  std::uint32_t num_irqs;
  std::uint32_t cap_offset;
  std::uint32_t pad;
};
static_assert(sizeof(vfio_device_info) == 24);
static_assert(offsetof(vfio_device_info, cap_offset) == 16);

inline constexpr unsigned long VFIO_DEVICE_GET_INFO = vfio_request(7);
static_assert(VFIO_DEVICE_GET_INFO == 0x3b6b);

// The values of a mediated device type's device_api attribute in sysfs.
inline constexpr char VFIO_DEVICE_API_PCI_STRING[] = "vfio-pci";
inline constexpr char VFIO_DEVICE_API_PLATFORM_STRING[] = "vfio-platform";
inline constexpr char VFIO_DEVICE_API_AMBA_STRING[] = "vfio-amba";
inline constexpr char VFIO_DEVICE_API_CCW_STRING[] = "vfio-ccw";
inline constexpr char VFIO_DEVICE_API_AP_STRING[] = "vfio-ap";

// Capability ids of VFIO_DEVICE_GET_INFO.
inline constexpr std::uint16_t VFIO_DEVICE_INFO_CAP_ZPCI_BASE = 1;
inline constexpr std::uint16_t VFIO_DEVICE_INFO_CAP_ZPCI_GROUP = 2;
inline constexpr std::uint16_t VFIO_DEVICE_INFO_CAP_ZPCI_UTIL = 3;
inline constexpr std::uint16_t VFIO_DEVICE_INFO_CAP_ZPCI_PFIP = 4;
inline constexpr std::uint16_t VFIO_DEVICE_INFO_CAP_PCI_ATOMIC_COMP = 5;

inline constexpr std::uint32_t VFIO_PCI_ATOMIC_COMP32 = 1u << 0;
inline constexpr std::uint32_t VFIO_PCI_ATOMIC_COMP64 = 1u << 1;
inline constexpr std::uint32_t VFIO_PCI_ATOMIC_COMP128 = 1u << 2;

struct vfio_device_info_cap_pci_atomic_comp {
  vfio_info_cap_header header;
  std::uint32_t flags;
  std::uint32_t reserved;
};
static_assert(sizeof(vfio_device_info_cap_pci_atomic_comp) == 16);
static_assert(offsetof(vfio_device_info_cap_pci_atomic_comp, flags) == 8);

// ---- Device: regions.

inline constexpr std::uint32_t VFIO_REGION_INFO_FLAG_READ = 1u << 0;
inline constexpr std::uint32_t VFIO_REGION_INFO_FLAG_WRITE = 1u << 1;
inline constexpr std::uint32_t VFIO_REGION_INFO_FLAG_MMAP = 1u << 2;
inline constexpr std::uint32_t VFIO_REGION_INFO_FLAG_CAPS = 1u << 3;

// `offset` is where the region lies in the device's file, for pread, pwrite and mmap.
struct vfio_region_info {
  std::uint32_t argsz;
  std::uint32_t flags;
  std::uint32_t index;
  std::uint32_t cap_offset;
  std::uint64_t size;
  std::uint64_t offset;
};
static_assert(sizeof(vfio_region_info) == 32);
static_assert(offsetof(vfio_region_info, cap_offset) == 12);
static_assert(offsetof(vfio_region_info, size) == 16);
static_assert(offsetof(vfio_region_info, offset) == 24);

inline constexpr unsigned long VFIO_DEVICE_GET_REGION_INFO = vfio_request(8);
static_assert(VFIO_DEVICE_GET_REGION_INFO == 0x3b6c);

// Capability ids of VFIO_DEVICE_GET_REGION_INFO. MSIX_MAPPABLE has no contents: the header is all of it.
inline constexpr std::uint16_t VFIO_REGION_INFO_CAP_SPARSE_MMAP = 1;
inline constexpr std::uint16_t VFIO_REGION_INFO_CAP_TYPE = 2;
inline constexpr std::uint16_t VFIO_REGION_INFO_CAP_MSIX_MAPPABLE = 3;

struct vfio_region_sparse_mmap_area {
  std::uint64_t offset;
  std::uint64_t size;
};
static_assert(sizeof(vfio_region_sparse_mmap_area) == 16);

// Followed by nr_areas of vfio_region_sparse_mmap_area.
struct vfio_region_info_cap_sparse_mmap {
  vfio_info_cap_header header;
  std::uint32_t nr_areas;
  std::uint32_t reserved;
};
static_assert(sizeof(vfio_region_info_cap_sparse_mmap) == 16);
static_assert(offsetof(vfio_region_info_cap_sparse_mmap, nr_areas) == 8);

struct vfio_region_info_cap_type {
  vfio_info_cap_header header;
  std::uint32_t type;
  std::uint32_t subtype;
};
static_assert(sizeof(vfio_region_info_cap_type) == 16);
static_assert(offsetof(vfio_region_info_cap_type, type) == 8);

// Region types. A vendor's own type is VENDOR_TYPE with the PCI vendor id in the bits of VENDOR_MASK.
inline constexpr std::uint32_t VFIO_REGION_TYPE_PCI_VENDOR_TYPE = 1u << 31;
inline constexpr std::uint32_t VFIO_REGION_TYPE_PCI_VENDOR_MASK = 0xffff;
inline constexpr std::uint32_t VFIO_REGION_TYPE_GFX = 1;
inline constexpr std::uint32_t VFIO_REGION_TYPE_CCW = 2;
inline constexpr std::uint32_t VFIO_REGION_TYPE_MIGRATION_DEPRECATED = 3;

// Subtypes of vendor 8086.
inline constexpr std::uint32_t VFIO_REGION_SUBTYPE_INTEL_IGD_OPREGION = 1;
inline constexpr std::uint32_t VFIO_REGION_SUBTYPE_INTEL_IGD_HOST_CFG = 2;
inline constexpr std::uint32_t VFIO_REGION_SUBTYPE_INTEL_IGD_LPC_CFG = 3;

// Subtype of VFIO_REGION_TYPE_GFX, and the head of that region.
inline constexpr std::uint32_t VFIO_REGION_SUBTYPE_GFX_EDID = 1;
inline constexpr std::uint32_t VFIO_DEVICE_GFX_LINK_STATE_UP = 1;
inline constexpr std::uint32_t VFIO_DEVICE_GFX_LINK_STATE_DOWN = 2;

struct vfio_region_gfx_edid {
  std::uint32_t edid_offset;
  std::uint32_t edid_max_size;
  std::uint32_t edid_size;
  std::uint32_t max_xres;
  std::uint32_t max_yres;
  std::uint32_t link_state;
};
static_assert(sizeof(vfio_region_gfx_edid) == 24);

// ---- Device: interrupts.

inline constexpr std::uint32_t VFIO_IRQ_INFO_EVENTFD = 1u << 0;
inline constexpr std::uint32_t VFIO_IRQ_INFO_MASKABLE = 1u << 1;
inline constexpr std::uint32_t VFIO_IRQ_INFO_AUTOMASKED = 1u << 2;
inline constexpr std::uint32_t VFIO_IRQ_INFO_NORESIZE = 1u << 3;

struct vfio_irq_info {
  std::uint32_t argsz;
  std::uint32_t flags;
  std::uint32_t index;
  std::uint32_t count;
};
static_assert(sizeof(vfio_irq_info) == 16);

inline constexpr unsigned long VFIO_DEVICE_GET_IRQ_INFO = vfio_request(9);
static_assert(VFIO_DEVICE_GET_IRQ_INFO == 0x3b6d);

inline constexpr std::uint32_t VFIO_IRQ_SET_DATA_NONE = 1u << 0;
inline constexpr std::uint32_t VFIO_IRQ_SET_DATA_BOOL = 1u << 1;
inline constexpr std::uint32_t VFIO_IRQ_SET_DATA_EVENTFD = 1u << 2;
inline constexpr std::uint32_t VFIO_IRQ_SET_ACTION_MASK = 1u << 3;
inline constexpr std::uint32_t VFIO_IRQ_SET_ACTION_UNMASK = 1u << 4;
inline constexpr std::uint32_t VFIO_IRQ_SET_ACTION_TRIGGER = 1u << 5;
inline constexpr std::uint32_t VFIO_IRQ_SET_DATA_TYPE_MASK =
    VFIO_IRQ_SET_DATA_NONE | VFIO_IRQ_SET_DATA_BOOL | VFIO_IRQ_SET_DATA_EVENTFD;
inline constexpr std::uint32_t VFIO_IRQ_SET_ACTION_TYPE_MASK =
    VFIO_IRQ_SET_ACTION_MASK | VFIO_IRQ_SET_ACTION_UNMASK | VFIO_IRQ_SET_ACTION_TRIGGER;

// Followed by `count` bytes (DATA_BOOL) or `count` int32 descriptors (DATA_EVENTFD, -1 for none).
struct vfio_irq_set {
  std::uint32_t argsz;
  std::uint32_t flags;
  std::uint32_t index;
  std::uint32_t start;
  std::uint32_t count;
};
static_assert(sizeof(vfio_irq_set) == 20);

inline constexpr unsigned long VFIO_DEVICE_SET_IRQS = vfio_request(10);
inline constexpr unsigned long VFIO_DEVICE_RESET = vfio_request(11);
static_assert(VFIO_DEVICE_SET_IRQS == 0x3b6e);
static_assert(VFIO_DEVICE_RESET == 0x3b6f);

// ---- vfio-pci: fixed indexes. A region index of NUM_REGIONS or more is described by its TYPE capability.

inline constexpr std::uint32_t VFIO_PCI_BAR0_REGION_INDEX = 0;
inline constexpr std::uint32_t VFIO_PCI_BAR1_REGION_INDEX = 1;
inline constexpr std::uint32_t VFIO_PCI_BAR2_REGION_INDEX = 2;
inline constexpr std::uint32_t VFIO_PCI_BAR3_REGION_INDEX = 3;
inline constexpr std::uint32_t VFIO_PCI_BAR4_REGION_INDEX = 4;
inline constexpr std::uint32_t VFIO_PCI_BAR5_REGION_INDEX = 5;
inline constexpr std::uint32_t VFIO_PCI_ROM_REGION_INDEX = 6;
inline constexpr std::uint32_t VFIO_PCI_CONFIG_REGION_INDEX = 7;
inline constexpr std::uint32_t VFIO_PCI_VGA_REGION_INDEX = 8;
inline constexpr std::uint32_t VFIO_PCI_NUM_REGIONS = 9;

inline constexpr std::uint32_t VFIO_PCI_INTX_IRQ_INDEX = 0;
inline constexpr std::uint32_t VFIO_PCI_MSI_IRQ_INDEX = 1;
inline constexpr std::uint32_t VFIO_PCI_MSIX_IRQ_INDEX = 2;
inline constexpr std::uint32_t VFIO_PCI_ERR_IRQ_INDEX = 3;
inline constexpr std::uint32_t VFIO_PCI_REQ_IRQ_INDEX = 4;
inline constexpr std::uint32_t VFIO_PCI_NUM_IRQS = 5;

// ---- vfio-pci: hot reset.

// Values of `devid` which are not an iommufd object id.
inline constexpr std::uint32_t VFIO_PCI_DEVID_OWNED = 0;
inline constexpr std::uint32_t VFIO_PCI_DEVID_NOT_OWNED = 0xffffffff;

// One word with two names: `devid` when VFIO_PCI_HOT_RESET_FLAG_DEV_ID is set (device opened as a cdev), else
// `group_id`.
struct vfio_pci_dependent_device {
  union {
    std::uint32_t group_id;
    std::uint32_t devid;
  };
  std::uint16_t segment;
  std::uint8_t bus;
  std::uint8_t devfn;
};
static_assert(sizeof(vfio_pci_dependent_device) == 8);
static_assert(offsetof(vfio_pci_dependent_device, devid) == 0);
static_assert(offsetof(vfio_pci_dependent_device, segment) == 4);
static_assert(offsetof(vfio_pci_dependent_device, devfn) == 7);

inline constexpr std::uint32_t VFIO_PCI_HOT_RESET_FLAG_DEV_ID = 1u << 0;
inline constexpr std::uint32_t VFIO_PCI_HOT_RESET_FLAG_DEV_ID_OWNED = 1u << 1;

// Followed by `count` of vfio_pci_dependent_device.
struct vfio_pci_hot_reset_info {
  std::uint32_t argsz;
  std::uint32_t flags;
  std::uint32_t count;
};
static_assert(sizeof(vfio_pci_hot_reset_info) == 12);

// Followed by `count` int32 group descriptors; none for a device opened as a cdev.
struct vfio_pci_hot_reset {
  std::uint32_t argsz;
  std::uint32_t flags;
  std::uint32_t count;
};
static_assert(sizeof(vfio_pci_hot_reset) == 12);

inline constexpr unsigned long VFIO_DEVICE_GET_PCI_HOT_RESET_INFO = vfio_request(12);
inline constexpr unsigned long VFIO_DEVICE_PCI_HOT_RESET = vfio_request(13);
static_assert(VFIO_DEVICE_GET_PCI_HOT_RESET_INFO == 0x3b70);
static_assert(VFIO_DEVICE_PCI_HOT_RESET == 0x3b71);

// ---- Display planes of mediated devices.

inline constexpr std::uint32_t VFIO_GFX_PLANE_TYPE_PROBE = 1u << 0;
inline constexpr std::uint32_t VFIO_GFX_PLANE_TYPE_DMABUF = 1u << 1;
inline constexpr std::uint32_t VFIO_GFX_PLANE_TYPE_REGION = 1u << 2;

// One word with two names: `region_index` or `dmabuf_id`, by the TYPE flag of the query.
struct vfio_device_gfx_plane_info {
  std::uint32_t argsz;
  std::uint32_t flags;
  std::uint32_t drm_plane_type;
  std::uint32_t drm_format;
  std::uint64_t drm_format_mod;
  std::uint32_t width;
  std::uint32_t height;
  std::uint32_t stride;
  std::uint32_t size;
  std::uint32_t x_pos;
  std::uint32_t y_pos;
  std::uint32_t x_hot;
  std::uint32_t y_hot;
  union {
    std::uint32_t region_index;
    std::uint32_t dmabuf_id;
  };
  std::uint32_t reserved;
};
static_assert(sizeof(vfio_device_gfx_plane_info) == 64);
static_assert(offsetof(vfio_device_gfx_plane_info, drm_format_mod) == 16);
static_assert(offsetof(vfio_device_gfx_plane_info, dmabuf_id) == 56);

inline constexpr unsigned long VFIO_DEVICE_QUERY_GFX_PLANE = vfio_request(14);
inline constexpr unsigned long VFIO_DEVICE_GET_GFX_DMABUF = vfio_request(15);
static_assert(VFIO_DEVICE_QUERY_GFX_PLANE == 0x3b72);
static_assert(VFIO_DEVICE_GET_GFX_DMABUF == 0x3b73);

// ---- A write to the device, done by the kernel when an eventfd is signalled.

inline constexpr std::uint32_t VFIO_DEVICE_IOEVENTFD_8 = 1u << 0;
inline constexpr std::uint32_t VFIO_DEVICE_IOEVENTFD_16 = 1u << 1;
inline constexpr std::uint32_t VFIO_DEVICE_IOEVENTFD_32 = 1u << 2;
inline constexpr std::uint32_t VFIO_DEVICE_IOEVENTFD_64 = 1u << 3;
inline constexpr std::uint32_t VFIO_DEVICE_IOEVENTFD_SIZE_MASK = 0xf;

// `fd` -1 takes the assignment away.
struct vfio_device_ioeventfd {
  std::uint32_t argsz;
  std::uint32_t flags;
  std::uint64_t offset;
  std::uint64_t data;
  std::int32_t fd;
  std::uint32_t reserved;
};
static_assert(sizeof(vfio_device_ioeventfd) == 32);
static_assert(offsetof(vfio_device_ioeventfd, offset) == 8);
static_assert(offsetof(vfio_device_ioeventfd, fd) == 24);

inline constexpr unsigned long VFIO_DEVICE_IOEVENTFD = vfio_request(16);
static_assert(VFIO_DEVICE_IOEVENTFD == 0x3b74);

// ---- Device opened as a cdev (/dev/vfio/devices/vfio<n>): its iommufd and its address space.

inline constexpr std::uint32_t VFIO_DEVICE_BIND_FLAG_TOKEN = 1u << 0;

// Kernels from before the token know the first 16 bytes.
struct vfio_device_bind_iommufd {
  std::uint32_t argsz;
  std::uint32_t flags;
  std::int32_t iommufd;
  std::uint32_t out_devid;
  std::uint64_t token_uuid_ptr;
};
static_assert(sizeof(vfio_device_bind_iommufd) == 24);
static_assert(offsetof(vfio_device_bind_iommufd, out_devid) == 12);
static_assert(offsetof(vfio_device_bind_iommufd, token_uuid_ptr) == 16);

inline constexpr unsigned long VFIO_DEVICE_BIND_IOMMUFD = vfio_request(18);
static_assert(VFIO_DEVICE_BIND_IOMMUFD == 0x3b76);

inline constexpr std::uint32_t VFIO_DEVICE_ATTACH_PASID = 1u << 0;

// Kernels from before PASIDs know the first 12 bytes.
struct vfio_device_attach_iommufd_pt {
  std::uint32_t argsz;
  std::uint32_t flags;
  std::uint32_t pt_id;
  std::uint32_t pasid;
};
static_assert(sizeof(vfio_device_attach_iommufd_pt) == 16);
static_assert(offsetof(vfio_device_attach_iommufd_pt, pasid) == 12);

inline constexpr unsigned long VFIO_DEVICE_ATTACH_IOMMUFD_PT = vfio_request(19);
static_assert(VFIO_DEVICE_ATTACH_IOMMUFD_PT == 0x3b77);

inline constexpr std::uint32_t VFIO_DEVICE_DETACH_PASID = 1u << 0;

// Kernels from before PASIDs know the first 8 bytes.
struct vfio_device_detach_iommufd_pt {
  std::uint32_t argsz;
  std::uint32_t flags;
  std::uint32_t pasid;
};
static_assert(sizeof(vfio_device_detach_iommufd_pt) == 12);
static_assert(offsetof(vfio_device_detach_iommufd_pt, pasid) == 8);

inline constexpr unsigned long VFIO_DEVICE_DETACH_IOMMUFD_PT = vfio_request(20);
static_assert(VFIO_DEVICE_DETACH_IOMMUFD_PT == 0x3b78);

// ---- Device features: one call, an index and an operation in `flags`, the feature's own payload after the structure.

inline constexpr std::uint32_t VFIO_DEVICE_FEATURE_MASK = 0xffff;
inline constexpr std::uint32_t VFIO_DEVICE_FEATURE_GET = 1u << 16;
inline constexpr std::uint32_t VFIO_DEVICE_FEATURE_SET = 1u << 17;
inline constexpr std::uint32_t VFIO_DEVICE_FEATURE_PROBE = 1u << 18;

struct vfio_device_feature {
  std::uint32_t argsz;
  std::uint32_t flags;
};
static_assert(sizeof(vfio_device_feature) == 8);

inline constexpr unsigned long VFIO_DEVICE_FEATURE = vfio_request(17);
static_assert(VFIO_DEVICE_FEATURE == 0x3b75);

// The payload of PCI_VF_TOKEN is 16 bytes, a UUID. LOW_POWER_ENTRY, LOW_POWER_EXIT, DMA_LOGGING_STOP and
// MIG_PRECOPY_INFOv2 have none; those of the others follow below.
inline constexpr std::uint32_t VFIO_DEVICE_FEATURE_PCI_VF_TOKEN = 0;
inline constexpr std::uint32_t VFIO_DEVICE_FEATURE_MIGRATION = 1;
inline constexpr std::uint32_t VFIO_DEVICE_FEATURE_MIG_DEVICE_STATE = 2;
inline constexpr std::uint32_t VFIO_DEVICE_FEATURE_LOW_POWER_ENTRY = 3;
inline constexpr std::uint32_t VFIO_DEVICE_FEATURE_LOW_POWER_ENTRY_WITH_WAKEUP = 4;
inline constexpr std::uint32_t VFIO_DEVICE_FEATURE_LOW_POWER_EXIT = 5;
inline constexpr std::uint32_t VFIO_DEVICE_FEATURE_DMA_LOGGING_START = 6;
inline constexpr std::uint32_t VFIO_DEVICE_FEATURE_DMA_LOGGING_STOP = 7;
inline constexpr std::uint32_t VFIO_DEVICE_FEATURE_DMA_LOGGING_REPORT = 8;
inline constexpr std::uint32_t VFIO_DEVICE_FEATURE_MIG_DATA_SIZE = 9;
inline constexpr std::uint32_t VFIO_DEVICE_FEATURE_BUS_MASTER = 10;
inline constexpr std::uint32_t VFIO_DEVICE_FEATURE_DMA_BUF = 11;
inline constexpr std::uint32_t VFIO_DEVICE_FEATURE_MIG_PRECOPY_INFOv2 = 12;
inline constexpr std::uint32_t VFIO_DEVICE_FEATURE_ZPCI_ERROR = 13;

// MIGRATION
inline constexpr std::uint64_t VFIO_MIGRATION_STOP_COPY = 1u << 0;
inline constexpr std::uint64_t VFIO_MIGRATION_P2P = 1u << 1;
inline constexpr std::uint64_t VFIO_MIGRATION_PRE_COPY = 1u << 2;

struct vfio_device_feature_migration {
  std::uint64_t flags;
};
static_assert(sizeof(vfio_device_feature_migration) == 8);

// MIG_DEVICE_STATE. The states are the kernel's enum vfio_device_mig_state.
inline constexpr std::uint32_t VFIO_DEVICE_STATE_ERROR = 0;
inline constexpr std::uint32_t VFIO_DEVICE_STATE_STOP = 1;
inline constexpr std::uint32_t VFIO_DEVICE_STATE_RUNNING = 2;
inline constexpr std::uint32_t VFIO_DEVICE_STATE_STOP_COPY = 3;
inline constexpr std::uint32_t VFIO_DEVICE_STATE_RESUMING = 4;
inline constexpr std::uint32_t VFIO_DEVICE_STATE_RUNNING_P2P = 5;
inline constexpr std::uint32_t VFIO_DEVICE_STATE_PRE_COPY = 6;
inline constexpr std::uint32_t VFIO_DEVICE_STATE_PRE_COPY_P2P = 7;
inline constexpr std::uint32_t VFIO_DEVICE_STATE_NR = 8;

struct vfio_device_feature_mig_state {
  std::uint32_t device_state;
  std::int32_t data_fd;
};
static_assert(sizeof(vfio_device_feature_mig_state) == 8);
static_assert(offsetof(vfio_device_feature_mig_state, data_fd) == 4);

// LOW_POWER_ENTRY_WITH_WAKEUP
struct vfio_device_low_power_entry_with_wakeup {
  std::int32_t wakeup_eventfd;
  std::uint32_t reserved;
};
static_assert(sizeof(vfio_device_low_power_entry_with_wakeup) == 8);

// DMA_LOGGING_START. `ranges` is the address of num_ranges of vfio_device_feature_dma_logging_range.
struct vfio_device_feature_dma_logging_control {
  std::uint64_t page_size;
  std::uint32_t num_ranges;
  std::uint32_t __reserved;
  std::uint64_t ranges;
};
static_assert(sizeof(vfio_device_feature_dma_logging_control) == 24);
static_assert(offsetof(vfio_device_feature_dma_logging_control, ranges) == 16);

struct vfio_device_feature_dma_logging_range {
  std::uint64_t iova;
  std::uint64_t length;
};
static_assert(sizeof(vfio_device_feature_dma_logging_range) == 16);

// DMA_LOGGING_REPORT. `bitmap` is the address of 64-bit words, one bit per page_size.
struct vfio_device_feature_dma_logging_report {
  std::uint64_t iova;
  std::uint64_t length;
  std::uint64_t page_size;
  std::uint64_t bitmap;
};
static_assert(sizeof(vfio_device_feature_dma_logging_report) == 32);

// MIG_DATA_SIZE
struct vfio_device_feature_mig_data_size {
  std::uint64_t stop_copy_length;
};
static_assert(sizeof(vfio_device_feature_mig_data_size) == 8);

// BUS_MASTER (CDX only: a PCI device has its bit in config space).
inline constexpr std::uint32_t VFIO_DEVICE_FEATURE_CLEAR_MASTER = 0;
inline constexpr std::uint32_t VFIO_DEVICE_FEATURE_SET_MASTER = 1;

struct vfio_device_feature_bus_master {
  std::uint32_t op;
};
static_assert(sizeof(vfio_device_feature_bus_master) == 4);

// DMA_BUF. Followed by nr_ranges of vfio_region_dma_range; the call itself returns the new descriptor.
struct vfio_region_dma_range {
  std::uint64_t offset;
  std::uint64_t length;
};
static_assert(sizeof(vfio_region_dma_range) == 16);

struct vfio_device_feature_dma_buf {
  std::uint32_t region_index;
  std::uint32_t open_flags;
  std::uint32_t flags;
  std::uint32_t nr_ranges;
};
static_assert(sizeof(vfio_device_feature_dma_buf) == 16);

// ZPCI_ERROR
struct vfio_device_feature_zpci_err {
  std::uint64_t data;
};
static_assert(sizeof(vfio_device_feature_zpci_err) == 8);

// ---- Migration data file.

// Only meaningful once VFIO_DEVICE_FEATURE_MIG_PRECOPY_INFOv2 has been set: before, the kernel may leave anything in
// flags.
inline constexpr std::uint32_t VFIO_PRECOPY_INFO_REINIT = 1u << 0;

struct vfio_precopy_info {
  std::uint32_t argsz;
  std::uint32_t flags;
  std::uint64_t initial_bytes;
  std::uint64_t dirty_bytes;
};
static_assert(sizeof(vfio_precopy_info) == 24);
static_assert(offsetof(vfio_precopy_info, initial_bytes) == 8);

inline constexpr unsigned long VFIO_MIG_GET_PRECOPY_INFO = vfio_request(21);
static_assert(VFIO_MIG_GET_PRECOPY_INFO == 0x3b79);

// ---- Container with a type1 IOMMU. Its requests reuse numbers of the device's: the descriptor decides which is meant.

inline constexpr std::uint32_t VFIO_IOMMU_INFO_PGSIZES = 1u << 0;
inline constexpr std::uint32_t VFIO_IOMMU_INFO_CAPS = 1u << 1;

struct vfio_iommu_type1_info {
  std::uint32_t argsz;
  std::uint32_t flags;
  std::uint64_t iova_pgsizes;
  std::uint32_t cap_offset;
  std::uint32_t pad;
};
static_assert(sizeof(vfio_iommu_type1_info) == 24);
static_assert(offsetof(vfio_iommu_type1_info, iova_pgsizes) == 8);
static_assert(offsetof(vfio_iommu_type1_info, cap_offset) == 16);

inline constexpr unsigned long VFIO_IOMMU_GET_INFO = vfio_request(12);
static_assert(VFIO_IOMMU_GET_INFO == 0x3b70);

// Capability ids of VFIO_IOMMU_GET_INFO.
inline constexpr std::uint16_t VFIO_IOMMU_TYPE1_INFO_CAP_IOVA_RANGE = 1;
inline constexpr std::uint16_t VFIO_IOMMU_TYPE1_INFO_CAP_MIGRATION = 2;
inline constexpr std::uint16_t VFIO_IOMMU_TYPE1_INFO_DMA_AVAIL = 3;

// `end` is inclusive.
struct vfio_iova_range {
  std::uint64_t start;
  std::uint64_t end;
};
static_assert(sizeof(vfio_iova_range) == 16);

// Followed by nr_iovas of vfio_iova_range.
struct vfio_iommu_type1_info_cap_iova_range {
  vfio_info_cap_header header;
  std::uint32_t nr_iovas;
  std::uint32_t reserved;
};
static_assert(sizeof(vfio_iommu_type1_info_cap_iova_range) == 16);
static_assert(offsetof(vfio_iommu_type1_info_cap_iova_range, nr_iovas) == 8);

// The four bytes after `flags` are padding in the kernel's structure too.
struct vfio_iommu_type1_info_cap_migration {
  vfio_info_cap_header header;
  std::uint32_t flags;
  std::uint64_t pgsize_bitmap;
  std::uint64_t max_dirty_bitmap_size;
};
static_assert(sizeof(vfio_iommu_type1_info_cap_migration) == 32);
static_assert(offsetof(vfio_iommu_type1_info_cap_migration, flags) == 8);
static_assert(offsetof(vfio_iommu_type1_info_cap_migration, pgsize_bitmap) == 16);
static_assert(offsetof(vfio_iommu_type1_info_cap_migration, max_dirty_bitmap_size) == 24);

struct vfio_iommu_type1_info_dma_avail {
  vfio_info_cap_header header;
  std::uint32_t avail;
};
static_assert(sizeof(vfio_iommu_type1_info_dma_avail) == 12);
static_assert(offsetof(vfio_iommu_type1_info_dma_avail, avail) == 8);

inline constexpr std::uint32_t VFIO_DMA_MAP_FLAG_READ = 1u << 0;
inline constexpr std::uint32_t VFIO_DMA_MAP_FLAG_WRITE = 1u << 1;
inline constexpr std::uint32_t VFIO_DMA_MAP_FLAG_VADDR = 1u << 2;

struct vfio_iommu_type1_dma_map {
  std::uint32_t argsz;
  std::uint32_t flags;
  std::uint64_t vaddr;
  std::uint64_t iova;
  std::uint64_t size;
};
static_assert(sizeof(vfio_iommu_type1_dma_map) == 32);
static_assert(offsetof(vfio_iommu_type1_dma_map, vaddr) == 8);
static_assert(offsetof(vfio_iommu_type1_dma_map, iova) == 16);

inline constexpr unsigned long VFIO_IOMMU_MAP_DMA = vfio_request(13);
static_assert(VFIO_IOMMU_MAP_DMA == 0x3b71);

// `pgsize` and `size` are in bytes; `data` has one bit per pgsize.
struct vfio_bitmap {
  std::uint64_t pgsize;
  std::uint64_t size;
  std::uint64_t* data;
};
static_assert(sizeof(vfio_bitmap) == 24);
static_assert(offsetof(vfio_bitmap, data) == 16);

inline constexpr std::uint32_t VFIO_DMA_UNMAP_FLAG_GET_DIRTY_BITMAP = 1u << 0;
inline constexpr std::uint32_t VFIO_DMA_UNMAP_FLAG_ALL = 1u << 1;
inline constexpr std::uint32_t VFIO_DMA_UNMAP_FLAG_VADDR = 1u << 2;

// Followed by a vfio_bitmap with GET_DIRTY_BITMAP. `size` comes back as the number of bytes that were unmapped.
struct vfio_iommu_type1_dma_unmap {
  std::uint32_t argsz;
  std::uint32_t flags;
  std::uint64_t iova;
  std::uint64_t size;
};
static_assert(sizeof(vfio_iommu_type1_dma_unmap) == 24);
static_assert(offsetof(vfio_iommu_type1_dma_unmap, iova) == 8);
static_assert(offsetof(vfio_iommu_type1_dma_unmap, size) == 16);

inline constexpr unsigned long VFIO_IOMMU_UNMAP_DMA = vfio_request(14);
static_assert(VFIO_IOMMU_UNMAP_DMA == 0x3b72);

inline constexpr std::uint32_t VFIO_IOMMU_DIRTY_PAGES_FLAG_START = 1u << 0;
inline constexpr std::uint32_t VFIO_IOMMU_DIRTY_PAGES_FLAG_STOP = 1u << 1;
inline constexpr std::uint32_t VFIO_IOMMU_DIRTY_PAGES_FLAG_GET_BITMAP = 1u << 2;

// Followed by a vfio_iommu_type1_dirty_bitmap_get with GET_BITMAP.
struct vfio_iommu_type1_dirty_bitmap {
  std::uint32_t argsz;
  std::uint32_t flags;
};
static_assert(sizeof(vfio_iommu_type1_dirty_bitmap) == 8);

struct vfio_iommu_type1_dirty_bitmap_get {
  std::uint64_t iova;
  std::uint64_t size;
  vfio_bitmap bitmap;
};
static_assert(sizeof(vfio_iommu_type1_dirty_bitmap_get) == 40);
static_assert(offsetof(vfio_iommu_type1_dirty_bitmap_get, bitmap) == 16);

inline constexpr unsigned long VFIO_IOMMU_DIRTY_PAGES = vfio_request(17);
static_assert(VFIO_IOMMU_DIRTY_PAGES == 0x3b75);

}  // namespace vfio::uapi

#endif  // VFIO_NATIVE_UAPI_VFIO_H_
