// How the two interfaces number their requests: both use the kernel's "no direction, no size" form, because each
// argument carries its own size in its first word (argsz in VFIO, size in iommufd). Fact from the kernel's
// asm-generic/ioctl.h.
#ifndef VFIO_NATIVE_UAPI_IOCTL_H_
#define VFIO_NATIVE_UAPI_IOCTL_H_

// These architectures give "no direction" a number of its own, so every request below would be another one there.
#if defined(__powerpc__) || defined(__mips__) || defined(__sparc__) || defined(__alpha__)
#error "vfio: the ioctl numbers of this architecture are not described"
#endif

// struct vfio_bitmap holds a pointer: its layout, and the offsets of what contains it, are those of a 64-bit process.
static_assert(sizeof(void*) == 8, "vfio: only 64-bit processes are supported");

namespace vfio::uapi {

constexpr unsigned long io_request(unsigned long type, unsigned long number) { return type << 8 | number; }

}  // namespace vfio::uapi

#endif  // VFIO_NATIVE_UAPI_IOCTL_H_
