/**
 * Reasons: what a program can do something about, independent of the call that was refused.
 *
 * An errno has several meanings: `EPERM` is a missing permission for one call and a group that is not viable for another.
 *
 * @module
 */
import { constants } from "node:os";

/** Each {@link Reason} with its meaning, as docs/troubleshooting.md lists them. */
export const reasons = {
  "already-exists": "An object with that name or identity exists already",
  "address-in-use": "Another owner uses the address: a socket's name, or an IOVA that a device needs for itself",
  "bad-address": "A part of the memory is not present, or this process may not access it",
  "bad-descriptor": "The descriptor is closed, or is of another kind than the call needs",
  busy: "Another owner uses the object",
  canceled: "The other side, or a step of the same change, gave up",
  "descriptor-limit": "This process or the system has as many descriptors open as its limit allows",
  disconnected: "The other side closed the connection or ended",
  "group-not-viable": "Another device of the IOMMU group has a kernel driver",
  interrupted: "A signal interrupted the call",
  "interrupts-not-remapped":
    "The IOMMU does not remap interrupts, so the kernel does not let user space drive a device",
  "invalid-argument": "The kernel or the peer does not accept one of the arguments",
  "io-error": "The device or the kernel failed to do the work",
  "limit-exceeded": "A limit of the kernel or of the library on a number of objects or bytes is reached",
  "locked-memory-limit": "The mapping would pin more memory than this process may lock",
  "no-iommu-group": "The device is in no IOMMU group",
  "no-space": "No free range, or no free room, is large enough",
  "no-such-device": "There is no device with that name",
  "no-vfio-driver": "The device has no VFIO driver",
  "not-found": "The file or the object does not exist",
  "not-listening": "The socket exists, and no process listens on it",
  "not-mapped": "The range, or a part of it, is not mapped",
  other: "The library has no reason for this errno; see `code`",
  "out-of-memory": "The kernel has no memory left for the request",
  "out-of-range": "An address, an offset or a size goes beyond the end",
  overlap: "The range overlaps one that is mapped already",
  "permission-denied": "This process lacks a permission or a capability",
  "protocol-error": "The peer sent data that its protocol does not allow",
  "timed-out": "The answer did not come in time",
  unavailable: "The device, or the driver that the call needs, is not there or has gone",
  unsupported: "The kernel, the device or the peer does not have the feature",
  "wrong-vf-token": "The device takes another VF token",
  "would-block": "The call would have to wait, or has to be made again later",
} as const satisfies Readonly<Record<string, string>>;

/** Why a call was refused, for a program: the key of a row in docs/troubleshooting.md. */
export type Reason = keyof typeof reasons;

const { errno } = constants;

const byErrno: ReadonlyMap<number, Reason> = new Map<number, Reason>([
  [errno.EACCES, "permission-denied"],
  [errno.EPERM, "permission-denied"],
  [errno.EROFS, "permission-denied"],
  [errno.EADDRINUSE, "address-in-use"],
  [errno.EAGAIN, "would-block"],
  [errno.EBADF, "bad-descriptor"],
  [errno.ENOTSOCK, "bad-descriptor"],
  [errno.EBADMSG, "protocol-error"],
  [errno.EPROTO, "protocol-error"],
  [errno.EBUSY, "busy"],
  [errno.ETXTBSY, "busy"],
  [errno.ECANCELED, "canceled"],
  [errno.ECONNABORTED, "disconnected"],
  [errno.ECONNRESET, "disconnected"],
  [errno.ENOTCONN, "disconnected"],
  [errno.EPIPE, "disconnected"],
  [errno.ECONNREFUSED, "not-listening"],
  [errno.EEXIST, "already-exists"],
  [errno.EFAULT, "bad-address"],
  [errno.EINTR, "interrupted"],
  [errno.EINVAL, "invalid-argument"],
  [errno.EIO, "io-error"],
  [errno.EMFILE, "descriptor-limit"],
  [errno.ENFILE, "descriptor-limit"],
  [errno.E2BIG, "limit-exceeded"],
  [errno.EDQUOT, "limit-exceeded"],
  [errno.EMSGSIZE, "limit-exceeded"],
  [errno.ENODEV, "unavailable"],
  [errno.ENXIO, "unavailable"],
  [errno.ENOENT, "not-found"],
  [errno.ESRCH, "not-found"],
  [errno.ENOMEM, "out-of-memory"],
  [errno.ENOSPC, "no-space"],
  [errno.ENOSYS, "unsupported"],
  [errno.ENOTTY, "unsupported"],
  [errno.EOPNOTSUPP, "unsupported"],
  [errno.EPROTONOSUPPORT, "unsupported"],
  [errno.EOVERFLOW, "out-of-range"],
  [errno.ERANGE, "out-of-range"],
  [errno.ETIME, "timed-out"],
  [errno.ETIMEDOUT, "timed-out"],
]);

/**
 * The reason that an errno stands for where the call gives it no meaning of its own.
 *
 * @param number positive
 */
export function reasonOf(number: number): Reason {
  return byErrno.get(number) ?? "other";
}
