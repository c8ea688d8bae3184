// The iommufd interface (/dev/iommu) as Linux 7.3 has it: constants, request numbers and argument layouts, under the
// kernel's own names.
//
// The layouts are ours because a distribution's <linux/iommufd.h> is older than the interface that its kernels may
// offer, or missing; what a running kernel supports is asked at run time, by ioctl, never taken from a header. The
// facts are those of the kernel's include/uapi/linux/iommufd.h and Documentation/userspace-api/iommufd.rst;
// .ci/check-uapi compares every number, size and offset with the newest kernel headers to be had.
//
// `size` is always the structure's own size. Fields called *_uptr, user_va, allowed_iovas and data hold an address of
// this process. Never include <linux/iommufd.h> in the same translation unit: its macros would replace these names.
#ifndef VFIO_NATIVE_UAPI_IOMMUFD_H_
#define VFIO_NATIVE_UAPI_IOMMUFD_H_

#include <cstddef>
#include <cstdint>

#include "ioctl.h"

namespace vfio::uapi {

inline constexpr unsigned long IOMMUFD_TYPE = ';';

inline constexpr unsigned long IOMMUFD_CMD_BASE = 0x80;
inline constexpr unsigned long IOMMUFD_CMD_DESTROY = 0x80;
inline constexpr unsigned long IOMMUFD_CMD_IOAS_ALLOC = 0x81;
inline constexpr unsigned long IOMMUFD_CMD_IOAS_ALLOW_IOVAS = 0x82;
inline constexpr unsigned long IOMMUFD_CMD_IOAS_COPY = 0x83;
inline constexpr unsigned long IOMMUFD_CMD_IOAS_IOVA_RANGES = 0x84;
inline constexpr unsigned long IOMMUFD_CMD_IOAS_MAP = 0x85;
inline constexpr unsigned long IOMMUFD_CMD_IOAS_UNMAP = 0x86;
inline constexpr unsigned long IOMMUFD_CMD_OPTION = 0x87;
inline constexpr unsigned long IOMMUFD_CMD_VFIO_IOAS = 0x88;
inline constexpr unsigned long IOMMUFD_CMD_HWPT_ALLOC = 0x89;
inline constexpr unsigned long IOMMUFD_CMD_GET_HW_INFO = 0x8a;
inline constexpr unsigned long IOMMUFD_CMD_HWPT_SET_DIRTY_TRACKING = 0x8b;
inline constexpr unsigned long IOMMUFD_CMD_HWPT_GET_DIRTY_BITMAP = 0x8c;
inline constexpr unsigned long IOMMUFD_CMD_HWPT_INVALIDATE = 0x8d;
inline constexpr unsigned long IOMMUFD_CMD_FAULT_QUEUE_ALLOC = 0x8e;
inline constexpr unsigned long IOMMUFD_CMD_IOAS_MAP_FILE = 0x8f;
inline constexpr unsigned long IOMMUFD_CMD_VIOMMU_ALLOC = 0x90;
inline constexpr unsigned long IOMMUFD_CMD_VDEVICE_ALLOC = 0x91;
inline constexpr unsigned long IOMMUFD_CMD_IOAS_CHANGE_PROCESS = 0x92;
inline constexpr unsigned long IOMMUFD_CMD_VEVENTQ_ALLOC = 0x93;
inline constexpr unsigned long IOMMUFD_CMD_HW_QUEUE_ALLOC = 0x94;
inline constexpr unsigned long IOMMUFD_CMD_IOAS_NOIOMMU_GET_PA = 0x95;

// ---- Any object.

struct iommu_destroy {
  std::uint32_t size;
  std::uint32_t id;
};
static_assert(sizeof(iommu_destroy) == 8);

inline constexpr unsigned long IOMMU_DESTROY = io_request(IOMMUFD_TYPE, IOMMUFD_CMD_DESTROY);
static_assert(IOMMU_DESTROY == 0x3b80);

// ---- IO address space (IOAS): allocation and what addresses it has.

struct iommu_ioas_alloc {
  std::uint32_t size;
  std::uint32_t flags;
  std::uint32_t out_ioas_id;
};
static_assert(sizeof(iommu_ioas_alloc) == 12);

inline constexpr unsigned long IOMMU_IOAS_ALLOC = io_request(IOMMUFD_TYPE, IOMMUFD_CMD_IOAS_ALLOC);
static_assert(IOMMU_IOAS_ALLOC == 0x3b81);

// `last` is inclusive.
struct iommu_iova_range {
  std::uint64_t start;
  std::uint64_t last;
};
static_assert(sizeof(iommu_iova_range) == 16);

struct iommu_ioas_allow_iovas {
  std::uint32_t size;
  std::uint32_t ioas_id;
  std::uint32_t num_iovas;
  std::uint32_t __reserved;
  std::uint64_t allowed_iovas;
};
static_assert(sizeof(iommu_ioas_allow_iovas) == 24);
static_assert(offsetof(iommu_ioas_allow_iovas, allowed_iovas) == 16);

inline constexpr unsigned long IOMMU_IOAS_ALLOW_IOVAS = io_request(IOMMUFD_TYPE, IOMMUFD_CMD_IOAS_ALLOW_IOVAS);
static_assert(IOMMU_IOAS_ALLOW_IOVAS == 0x3b82);

struct iommu_ioas_iova_ranges {
  std::uint32_t size;
  std::uint32_t ioas_id;
  std::uint32_t num_iovas;
  std::uint32_t __reserved;
  std::uint64_t allowed_iovas;
  std::uint64_t out_iova_alignment;
};
static_assert(sizeof(iommu_ioas_iova_ranges) == 32);
static_assert(offsetof(iommu_ioas_iova_ranges, allowed_iovas) == 16);
static_assert(offsetof(iommu_ioas_iova_ranges, out_iova_alignment) == 24);

inline constexpr unsigned long IOMMU_IOAS_IOVA_RANGES = io_request(IOMMUFD_TYPE, IOMMUFD_CMD_IOAS_IOVA_RANGES);
static_assert(IOMMU_IOAS_IOVA_RANGES == 0x3b84);

// ---- IOAS: mappings. Enum iommufd_ioas_map_flags.

inline constexpr std::uint32_t IOMMU_IOAS_MAP_FIXED_IOVA = 1u << 0;
inline constexpr std::uint32_t IOMMU_IOAS_MAP_WRITEABLE = 1u << 1;
inline constexpr std::uint32_t IOMMU_IOAS_MAP_READABLE = 1u << 2;

struct iommu_ioas_map {
  std::uint32_t size;
  std::uint32_t flags;
  std::uint32_t ioas_id;
  std::uint32_t __reserved;
  std::uint64_t user_va;
  std::uint64_t length;
  std::uint64_t iova;
};
static_assert(sizeof(iommu_ioas_map) == 40);
static_assert(offsetof(iommu_ioas_map, user_va) == 16);
static_assert(offsetof(iommu_ioas_map, iova) == 32);

inline constexpr unsigned long IOMMU_IOAS_MAP = io_request(IOMMUFD_TYPE, IOMMUFD_CMD_IOAS_MAP);
static_assert(IOMMU_IOAS_MAP == 0x3b85);

struct iommu_ioas_map_file {
  std::uint32_t size;
  std::uint32_t flags;
  std::uint32_t ioas_id;
  std::int32_t fd;
  std::uint64_t start;
  std::uint64_t length;
  std::uint64_t iova;
};
static_assert(sizeof(iommu_ioas_map_file) == 40);
static_assert(offsetof(iommu_ioas_map_file, fd) == 12);
static_assert(offsetof(iommu_ioas_map_file, start) == 16);
static_assert(offsetof(iommu_ioas_map_file, iova) == 32);

inline constexpr unsigned long IOMMU_IOAS_MAP_FILE = io_request(IOMMUFD_TYPE, IOMMUFD_CMD_IOAS_MAP_FILE);
static_assert(IOMMU_IOAS_MAP_FILE == 0x3b8f);

struct iommu_ioas_copy {
  std::uint32_t size;
  std::uint32_t flags;
  std::uint32_t dst_ioas_id;
  std::uint32_t src_ioas_id;
  std::uint64_t length;
  std::uint64_t dst_iova;
  std::uint64_t src_iova;
};
static_assert(sizeof(iommu_ioas_copy) == 40);
static_assert(offsetof(iommu_ioas_copy, length) == 16);
static_assert(offsetof(iommu_ioas_copy, dst_iova) == 24);
static_assert(offsetof(iommu_ioas_copy, src_iova) == 32);

inline constexpr unsigned long IOMMU_IOAS_COPY = io_request(IOMMUFD_TYPE, IOMMUFD_CMD_IOAS_COPY);
static_assert(IOMMU_IOAS_COPY == 0x3b83);

// iova 0 with the largest length unmaps everything. `length` comes back as the number of bytes that were unmapped.
struct iommu_ioas_unmap {
  std::uint32_t size;
  std::uint32_t ioas_id;
  std::uint64_t iova;
  std::uint64_t length;
};
static_assert(sizeof(iommu_ioas_unmap) == 24);
static_assert(offsetof(iommu_ioas_unmap, iova) == 8);

inline constexpr unsigned long IOMMU_IOAS_UNMAP = io_request(IOMMUFD_TYPE, IOMMUFD_CMD_IOAS_UNMAP);
static_assert(IOMMU_IOAS_UNMAP == 0x3b86);

struct iommu_ioas_change_process {
  std::uint32_t size;
  std::uint32_t __reserved;
};
static_assert(sizeof(iommu_ioas_change_process) == 8);

inline constexpr unsigned long IOMMU_IOAS_CHANGE_PROCESS = io_request(IOMMUFD_TYPE, IOMMUFD_CMD_IOAS_CHANGE_PROCESS);
static_assert(IOMMU_IOAS_CHANGE_PROCESS == 0x3b92);

// The physical address behind an IOVA, for devices that have no IOMMU. `length` is in and out.
struct iommu_ioas_noiommu_get_pa {
  std::uint32_t size;
  std::uint32_t flags;
  std::uint32_t ioas_id;
  std::uint32_t __reserved;
  std::uint64_t iova;
  std::uint64_t length;
  std::uint64_t out_phys;
};
static_assert(sizeof(iommu_ioas_noiommu_get_pa) == 40);
static_assert(offsetof(iommu_ioas_noiommu_get_pa, iova) == 16);
static_assert(offsetof(iommu_ioas_noiommu_get_pa, out_phys) == 32);

inline constexpr unsigned long IOMMU_IOAS_NOIOMMU_GET_PA = io_request(IOMMUFD_TYPE, IOMMUFD_CMD_IOAS_NOIOMMU_GET_PA);
static_assert(IOMMU_IOAS_NOIOMMU_GET_PA == 0x3b95);

// ---- Options. Enums iommufd_option and iommufd_option_ops.

inline constexpr std::uint32_t IOMMU_OPTION_RLIMIT_MODE = 0;
inline constexpr std::uint32_t IOMMU_OPTION_HUGE_PAGES = 1;

inline constexpr std::uint16_t IOMMU_OPTION_OP_SET = 0;
inline constexpr std::uint16_t IOMMU_OPTION_OP_GET = 1;

struct iommu_option {
  std::uint32_t size;
  std::uint32_t option_id;
  std::uint16_t op;
  std::uint16_t __reserved;
  std::uint32_t object_id;
  std::uint64_t val64;
};
static_assert(sizeof(iommu_option) == 24);
static_assert(offsetof(iommu_option, op) == 8);
static_assert(offsetof(iommu_option, object_id) == 12);
static_assert(offsetof(iommu_option, val64) == 16);

inline constexpr unsigned long IOMMU_OPTION = io_request(IOMMUFD_TYPE, IOMMUFD_CMD_OPTION);
static_assert(IOMMU_OPTION == 0x3b87);

// ---- The IOAS behind the compatibility container. Enum iommufd_vfio_ioas_op.

inline constexpr std::uint16_t IOMMU_VFIO_IOAS_GET = 0;
inline constexpr std::uint16_t IOMMU_VFIO_IOAS_SET = 1;
inline constexpr std::uint16_t IOMMU_VFIO_IOAS_CLEAR = 2;

struct iommu_vfio_ioas {
  std::uint32_t size;
  std::uint32_t ioas_id;
  std::uint16_t op;
  std::uint16_t __reserved;
};
static_assert(sizeof(iommu_vfio_ioas) == 12);
static_assert(offsetof(iommu_vfio_ioas, op) == 8);

inline constexpr unsigned long IOMMU_VFIO_IOAS = io_request(IOMMUFD_TYPE, IOMMUFD_CMD_VFIO_IOAS);
static_assert(IOMMU_VFIO_IOAS == 0x3b88);

// ---- Hardware page table (HWPT). Enums iommufd_hwpt_alloc_flags and iommu_hwpt_data_type.

inline constexpr std::uint32_t IOMMU_HWPT_ALLOC_NEST_PARENT = 1u << 0;
inline constexpr std::uint32_t IOMMU_HWPT_ALLOC_DIRTY_TRACKING = 1u << 1;
inline constexpr std::uint32_t IOMMU_HWPT_FAULT_ID_VALID = 1u << 2;
inline constexpr std::uint32_t IOMMU_HWPT_ALLOC_PASID = 1u << 3;

inline constexpr std::uint32_t IOMMU_HWPT_DATA_NONE = 0;
inline constexpr std::uint32_t IOMMU_HWPT_DATA_VTD_S1 = 1;
inline constexpr std::uint32_t IOMMU_HWPT_DATA_ARM_SMMUV3 = 2;
inline constexpr std::uint32_t IOMMU_HWPT_DATA_AMD_GUEST = 3;

// Enum iommu_hwpt_vtd_s1_flags.
inline constexpr std::uint64_t IOMMU_VTD_S1_SRE = 1u << 0;
inline constexpr std::uint64_t IOMMU_VTD_S1_EAFE = 1u << 1;
inline constexpr std::uint64_t IOMMU_VTD_S1_WPE = 1u << 2;

// Data of IOMMU_HWPT_DATA_VTD_S1.
struct iommu_hwpt_vtd_s1 {
  std::uint64_t flags;
  std::uint64_t pgtbl_addr;
  std::uint32_t addr_width;
  std::uint32_t __reserved;
};
static_assert(sizeof(iommu_hwpt_vtd_s1) == 24);
static_assert(offsetof(iommu_hwpt_vtd_s1, addr_width) == 16);

// Data of IOMMU_HWPT_DATA_ARM_SMMUV3: little-endian words of a stream table entry.
struct iommu_hwpt_arm_smmuv3 {
  std::uint64_t ste[2];
};
static_assert(sizeof(iommu_hwpt_arm_smmuv3) == 16);

// Data of IOMMU_HWPT_DATA_AMD_GUEST: a guest's device table entry.
struct iommu_hwpt_amd_guest {
  std::uint64_t dte[4];
};
static_assert(sizeof(iommu_hwpt_amd_guest) == 32);

// Kernels from before fault queues know the first 40 bytes.
struct iommu_hwpt_alloc {
  std::uint32_t size;
  std::uint32_t flags;
  std::uint32_t dev_id;
  std::uint32_t pt_id;
  std::uint32_t out_hwpt_id;
  std::uint32_t __reserved;
  std::uint32_t data_type;
  std::uint32_t data_len;
  std::uint64_t data_uptr;
  std::uint32_t fault_id;
  std::uint32_t __reserved2;
};
static_assert(sizeof(iommu_hwpt_alloc) == 48);
static_assert(offsetof(iommu_hwpt_alloc, out_hwpt_id) == 16);
static_assert(offsetof(iommu_hwpt_alloc, data_uptr) == 32);
static_assert(offsetof(iommu_hwpt_alloc, fault_id) == 40);

inline constexpr unsigned long IOMMU_HWPT_ALLOC = io_request(IOMMUFD_TYPE, IOMMUFD_CMD_HWPT_ALLOC);
static_assert(IOMMU_HWPT_ALLOC == 0x3b89);

// ---- The hardware behind a device. Enums iommufd_hw_info_flags, iommu_hw_info_type and iommufd_hw_capabilities.

inline constexpr std::uint32_t IOMMU_HW_INFO_FLAG_INPUT_TYPE = 1u << 0;

inline constexpr std::uint32_t IOMMU_HW_INFO_TYPE_NONE = 0;
inline constexpr std::uint32_t IOMMU_HW_INFO_TYPE_DEFAULT = 0;
inline constexpr std::uint32_t IOMMU_HW_INFO_TYPE_INTEL_VTD = 1;
inline constexpr std::uint32_t IOMMU_HW_INFO_TYPE_ARM_SMMUV3 = 2;
inline constexpr std::uint32_t IOMMU_HW_INFO_TYPE_TEGRA241_CMDQV = 3;
inline constexpr std::uint32_t IOMMU_HW_INFO_TYPE_AMD = 4;

inline constexpr std::uint64_t IOMMU_HW_CAP_DIRTY_TRACKING = 1u << 0;
inline constexpr std::uint64_t IOMMU_HW_CAP_PCI_PASID_EXEC = 1u << 1;
inline constexpr std::uint64_t IOMMU_HW_CAP_PCI_PASID_PRIV = 1u << 2;
inline constexpr std::uint64_t IOMMU_HW_CAP_PCI_ATS_NOT_SUPPORTED = 1u << 3;

// Enum iommu_hw_info_vtd_flags.
inline constexpr std::uint32_t IOMMU_HW_INFO_VTD_ERRATA_772415_SPR17 = 1u << 0;

// Data of IOMMU_HW_INFO_TYPE_INTEL_VTD.
struct iommu_hw_info_vtd {
  std::uint32_t flags;
  std::uint32_t __reserved;
  std::uint64_t cap_reg;
  std::uint64_t ecap_reg;
};
static_assert(sizeof(iommu_hw_info_vtd) == 24);
static_assert(offsetof(iommu_hw_info_vtd, cap_reg) == 8);

// Enum iommu_hw_info_arm_smmuv3_flags.
inline constexpr std::uint32_t IOMMU_HW_INFO_ARM_SMMUV3_ERRATA_REPEAT_TLBI_CFGI = 1u << 0;

// Data of IOMMU_HW_INFO_TYPE_ARM_SMMUV3.
struct iommu_hw_info_arm_smmuv3 {
  std::uint32_t flags;
  std::uint32_t __reserved;
  std::uint32_t idr[6];
  std::uint32_t iidr;
  std::uint32_t aidr;
};
static_assert(sizeof(iommu_hw_info_arm_smmuv3) == 40);
static_assert(offsetof(iommu_hw_info_arm_smmuv3, iidr) == 32);

// Data of IOMMU_HW_INFO_TYPE_TEGRA241_CMDQV.
struct iommu_hw_info_tegra241_cmdqv {
  std::uint32_t flags;
  std::uint8_t version;
  std::uint8_t log2vcmdqs;
  std::uint8_t log2vsids;
  std::uint8_t __reserved;
};
static_assert(sizeof(iommu_hw_info_tegra241_cmdqv) == 8);

// Data of IOMMU_HW_INFO_TYPE_AMD.
struct iommu_hw_info_amd {
  std::uint64_t efr;
  std::uint64_t efr2;
};
static_assert(sizeof(iommu_hw_info_amd) == 16);

// One word with two names: `in_data_type` with IOMMU_HW_INFO_FLAG_INPUT_TYPE, and always `out_data_type` afterwards.
struct iommu_hw_info {
  std::uint32_t size;
  std::uint32_t flags;
  std::uint32_t dev_id;
  std::uint32_t data_len;
  std::uint64_t data_uptr;
  union {
    std::uint32_t in_data_type;
    std::uint32_t out_data_type;
  };
  std::uint8_t out_max_pasid_log2;
  std::uint8_t __reserved[3];
  std::uint64_t out_capabilities;
};
static_assert(sizeof(iommu_hw_info) == 40);
static_assert(offsetof(iommu_hw_info, data_uptr) == 16);
static_assert(offsetof(iommu_hw_info, out_data_type) == 24);
static_assert(offsetof(iommu_hw_info, out_max_pasid_log2) == 28);
static_assert(offsetof(iommu_hw_info, out_capabilities) == 32);

inline constexpr unsigned long IOMMU_GET_HW_INFO = io_request(IOMMUFD_TYPE, IOMMUFD_CMD_GET_HW_INFO);
static_assert(IOMMU_GET_HW_INFO == 0x3b8a);

// ---- HWPT: dirty tracking. Enums iommufd_hwpt_set_dirty_tracking_flags and iommufd_hwpt_get_dirty_bitmap_flags.

inline constexpr std::uint32_t IOMMU_HWPT_DIRTY_TRACKING_ENABLE = 1;

struct iommu_hwpt_set_dirty_tracking {
  std::uint32_t size;
  std::uint32_t flags;
  std::uint32_t hwpt_id;
  std::uint32_t __reserved;
};
static_assert(sizeof(iommu_hwpt_set_dirty_tracking) == 16);

inline constexpr unsigned long IOMMU_HWPT_SET_DIRTY_TRACKING =
    io_request(IOMMUFD_TYPE, IOMMUFD_CMD_HWPT_SET_DIRTY_TRACKING);
static_assert(IOMMU_HWPT_SET_DIRTY_TRACKING == 0x3b8b);

inline constexpr std::uint32_t IOMMU_HWPT_GET_DIRTY_BITMAP_NO_CLEAR = 1;

struct iommu_hwpt_get_dirty_bitmap {
  std::uint32_t size;
  std::uint32_t hwpt_id;
  std::uint32_t flags;
  std::uint32_t __reserved;
  std::uint64_t iova;
  std::uint64_t length;
  std::uint64_t page_size;
  std::uint64_t data;
};
static_assert(sizeof(iommu_hwpt_get_dirty_bitmap) == 48);
static_assert(offsetof(iommu_hwpt_get_dirty_bitmap, iova) == 16);
static_assert(offsetof(iommu_hwpt_get_dirty_bitmap, data) == 40);

inline constexpr unsigned long IOMMU_HWPT_GET_DIRTY_BITMAP =
    io_request(IOMMUFD_TYPE, IOMMUFD_CMD_HWPT_GET_DIRTY_BITMAP);
static_assert(IOMMU_HWPT_GET_DIRTY_BITMAP == 0x3b8c);

// ---- HWPT: cache invalidation. Enum iommu_hwpt_invalidate_data_type.

inline constexpr std::uint32_t IOMMU_HWPT_INVALIDATE_DATA_VTD_S1 = 0;
inline constexpr std::uint32_t IOMMU_VIOMMU_INVALIDATE_DATA_ARM_SMMUV3 = 1;

// Enum iommu_hwpt_vtd_s1_invalidate_flags.
inline constexpr std::uint32_t IOMMU_VTD_INV_FLAGS_LEAF = 1u << 0;

// Entry of IOMMU_HWPT_INVALIDATE_DATA_VTD_S1. Pages of 4 KiB whatever the host's are.
struct iommu_hwpt_vtd_s1_invalidate {
  std::uint64_t addr;
  std::uint64_t npages;
  std::uint32_t flags;
  std::uint32_t __reserved;
};
static_assert(sizeof(iommu_hwpt_vtd_s1_invalidate) == 24);
static_assert(offsetof(iommu_hwpt_vtd_s1_invalidate, flags) == 16);

// Entry of IOMMU_VIOMMU_INVALIDATE_DATA_ARM_SMMUV3: one little-endian SMMU command.
struct iommu_viommu_arm_smmuv3_invalidate {
  std::uint64_t cmd[2];
};
static_assert(sizeof(iommu_viommu_arm_smmuv3_invalidate) == 16);

// `entry_num` comes back as the number of entries that were handled.
struct iommu_hwpt_invalidate {
  std::uint32_t size;
  std::uint32_t hwpt_id;
  std::uint64_t data_uptr;
  std::uint32_t data_type;
  std::uint32_t entry_len;
  std::uint32_t entry_num;
  std::uint32_t __reserved;
};
static_assert(sizeof(iommu_hwpt_invalidate) == 32);
static_assert(offsetof(iommu_hwpt_invalidate, data_uptr) == 8);
static_assert(offsetof(iommu_hwpt_invalidate, entry_num) == 24);

inline constexpr unsigned long IOMMU_HWPT_INVALIDATE = io_request(IOMMUFD_TYPE, IOMMUFD_CMD_HWPT_INVALIDATE);
static_assert(IOMMU_HWPT_INVALIDATE == 0x3b8d);

// ---- Fault queue: its file gives iommu_hwpt_pgfault records and takes iommu_hwpt_page_response records.

struct iommu_fault_alloc {
  std::uint32_t size;
  std::uint32_t flags;
  std::uint32_t out_fault_id;
  std::uint32_t out_fault_fd;
};
static_assert(sizeof(iommu_fault_alloc) == 16);

inline constexpr unsigned long IOMMU_FAULT_QUEUE_ALLOC = io_request(IOMMUFD_TYPE, IOMMUFD_CMD_FAULT_QUEUE_ALLOC);
static_assert(IOMMU_FAULT_QUEUE_ALLOC == 0x3b8e);

// Enum iommu_hwpt_pgfault_flags.
inline constexpr std::uint32_t IOMMU_PGFAULT_FLAGS_PASID_VALID = 1u << 0;
inline constexpr std::uint32_t IOMMU_PGFAULT_FLAGS_LAST_PAGE = 1u << 1;

// Enum iommu_hwpt_pgfault_perm.
inline constexpr std::uint32_t IOMMU_PGFAULT_PERM_READ = 1u << 0;
inline constexpr std::uint32_t IOMMU_PGFAULT_PERM_WRITE = 1u << 1;
inline constexpr std::uint32_t IOMMU_PGFAULT_PERM_EXEC = 1u << 2;
inline constexpr std::uint32_t IOMMU_PGFAULT_PERM_PRIV = 1u << 3;

struct iommu_hwpt_pgfault {
  std::uint32_t flags;
  std::uint32_t dev_id;
  std::uint32_t pasid;
  std::uint32_t grpid;
  std::uint32_t perm;
  std::uint32_t __reserved;
  std::uint64_t addr;
  std::uint32_t length;
  std::uint32_t cookie;
};
static_assert(sizeof(iommu_hwpt_pgfault) == 40);
static_assert(offsetof(iommu_hwpt_pgfault, addr) == 24);
static_assert(offsetof(iommu_hwpt_pgfault, cookie) == 36);

// Enum iommufd_page_response_code.
inline constexpr std::uint32_t IOMMUFD_PAGE_RESP_SUCCESS = 0;
inline constexpr std::uint32_t IOMMUFD_PAGE_RESP_INVALID = 1;

struct iommu_hwpt_page_response {
  std::uint32_t cookie;
  std::uint32_t code;
};
static_assert(sizeof(iommu_hwpt_page_response) == 8);

// ---- Virtual IOMMU and its devices. Enum iommu_viommu_type.

inline constexpr std::uint32_t IOMMU_VIOMMU_TYPE_DEFAULT = 0;
inline constexpr std::uint32_t IOMMU_VIOMMU_TYPE_ARM_SMMUV3 = 1;
inline constexpr std::uint32_t IOMMU_VIOMMU_TYPE_TEGRA241_CMDQV = 2;

// Data of IOMMU_VIOMMU_TYPE_TEGRA241_CMDQV: what to mmap of the iommufd's file.
struct iommu_viommu_tegra241_cmdqv {
  std::uint64_t out_vintf_mmap_offset;
  std::uint64_t out_vintf_mmap_length;
};
static_assert(sizeof(iommu_viommu_tegra241_cmdqv) == 16);

// Kernels from before driver data know the first 24 bytes.
struct iommu_viommu_alloc {
  std::uint32_t size;
  std::uint32_t flags;
  std::uint32_t type;
  std::uint32_t dev_id;
  std::uint32_t hwpt_id;
  std::uint32_t out_viommu_id;
  std::uint32_t data_len;
  std::uint32_t __reserved;
  std::uint64_t data_uptr;
};
static_assert(sizeof(iommu_viommu_alloc) == 40);
static_assert(offsetof(iommu_viommu_alloc, out_viommu_id) == 20);
static_assert(offsetof(iommu_viommu_alloc, data_len) == 24);
static_assert(offsetof(iommu_viommu_alloc, data_uptr) == 32);

inline constexpr unsigned long IOMMU_VIOMMU_ALLOC = io_request(IOMMUFD_TYPE, IOMMUFD_CMD_VIOMMU_ALLOC);
static_assert(IOMMU_VIOMMU_ALLOC == 0x3b90);

struct iommu_vdevice_alloc {
  std::uint32_t size;
  std::uint32_t viommu_id;
  std::uint32_t dev_id;
  std::uint32_t out_vdevice_id;
  std::uint64_t virt_id;
};
static_assert(sizeof(iommu_vdevice_alloc) == 24);
static_assert(offsetof(iommu_vdevice_alloc, virt_id) == 16);

inline constexpr unsigned long IOMMU_VDEVICE_ALLOC = io_request(IOMMUFD_TYPE, IOMMUFD_CMD_VDEVICE_ALLOC);
static_assert(IOMMU_VDEVICE_ALLOC == 0x3b91);

// ---- Virtual event queue: its file gives an iommufd_vevent_header, then the type's record, for each event.
// Enums iommu_veventq_type and iommu_veventq_flag.

inline constexpr std::uint32_t IOMMU_VEVENTQ_TYPE_DEFAULT = 0;
inline constexpr std::uint32_t IOMMU_VEVENTQ_TYPE_ARM_SMMUV3 = 1;
inline constexpr std::uint32_t IOMMU_VEVENTQ_TYPE_TEGRA241_CMDQV = 2;

// A header with this flag stands for lost events and has no record after it.
inline constexpr std::uint32_t IOMMU_VEVENTQ_FLAG_LOST_EVENTS = 1u << 0;

struct iommu_veventq_alloc {
  std::uint32_t size;
  std::uint32_t flags;
  std::uint32_t viommu_id;
  std::uint32_t type;
  std::uint32_t veventq_depth;
  std::uint32_t out_veventq_id;
  std::uint32_t out_veventq_fd;
  std::uint32_t __reserved;
};
static_assert(sizeof(iommu_veventq_alloc) == 32);
static_assert(offsetof(iommu_veventq_alloc, out_veventq_fd) == 24);

inline constexpr unsigned long IOMMU_VEVENTQ_ALLOC = io_request(IOMMUFD_TYPE, IOMMUFD_CMD_VEVENTQ_ALLOC);
static_assert(IOMMU_VEVENTQ_ALLOC == 0x3b93);

struct iommufd_vevent_header {
  std::uint32_t flags;
  std::uint32_t sequence;
};
static_assert(sizeof(iommufd_vevent_header) == 8);

// Record of IOMMU_VEVENTQ_TYPE_ARM_SMMUV3, little-endian.
struct iommu_vevent_arm_smmuv3 {
  std::uint64_t evt[4];
};
static_assert(sizeof(iommu_vevent_arm_smmuv3) == 32);

// Record of IOMMU_VEVENTQ_TYPE_TEGRA241_CMDQV, little-endian.
struct iommu_vevent_tegra241_cmdqv {
  std::uint64_t lvcmdq_err_map[2];
};
static_assert(sizeof(iommu_vevent_tegra241_cmdqv) == 16);

// ---- Hardware queue of a virtual IOMMU. Enum iommu_hw_queue_type.

inline constexpr std::uint32_t IOMMU_HW_QUEUE_TYPE_DEFAULT = 0;
inline constexpr std::uint32_t IOMMU_HW_QUEUE_TYPE_TEGRA241_CMDQV = 1;

struct iommu_hw_queue_alloc {
  std::uint32_t size;
  std::uint32_t flags;
  std::uint32_t viommu_id;
  std::uint32_t type;
  std::uint32_t index;
  std::uint32_t out_hw_queue_id;
  std::uint64_t nesting_parent_iova;
  std::uint64_t length;
};
static_assert(sizeof(iommu_hw_queue_alloc) == 40);
static_assert(offsetof(iommu_hw_queue_alloc, nesting_parent_iova) == 24);

inline constexpr unsigned long IOMMU_HW_QUEUE_ALLOC = io_request(IOMMUFD_TYPE, IOMMUFD_CMD_HW_QUEUE_ALLOC);
static_assert(IOMMU_HW_QUEUE_ALLOC == 0x3b94);

}  // namespace vfio::uapi

#endif  // VFIO_NATIVE_UAPI_IOMMUFD_H_
