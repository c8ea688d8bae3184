/** Each {@link Reason} with its meaning, as docs/troubleshooting.md lists them. */
export declare const reasons: {
    readonly "already-exists": "An object with that name or identity exists already";
    readonly "address-in-use": "Another owner uses the address: a socket's name, or an IOVA that a device needs for itself";
    readonly "bad-address": "A part of the memory is not present, or this process may not access it";
    readonly "bad-descriptor": "The descriptor is closed, or is of another kind than the call needs";
    readonly busy: "Another owner uses the object";
    readonly canceled: "The other side, or a step of the same change, gave up";
    readonly "descriptor-limit": "This process or the system has as many descriptors open as its limit allows";
    readonly disconnected: "The other side closed the connection or ended";
    readonly "group-not-viable": "Another device of the IOMMU group has a kernel driver";
    readonly interrupted: "A signal interrupted the call";
    readonly "interrupts-not-remapped": "The IOMMU does not remap interrupts, so the kernel does not let user space drive a device";
    readonly "invalid-argument": "The kernel or the peer does not accept one of the arguments";
    readonly "io-error": "The device or the kernel failed to do the work";
    readonly "limit-exceeded": "A limit of the kernel or of the library on a number of objects or bytes is reached";
    readonly "locked-memory-limit": "The mapping would pin more memory than this process may lock";
    readonly "no-iommu-group": "The device is in no IOMMU group";
    readonly "no-space": "No free range, or no free room, is large enough";
    readonly "no-such-device": "There is no device with that name";
    readonly "no-vfio-driver": "The device has no VFIO driver";
    readonly "not-found": "The file or the object does not exist";
    readonly "not-listening": "The socket exists, and no process listens on it";
    readonly "not-mapped": "The range, or a part of it, is not mapped";
    readonly other: "The library has no reason for this errno; see `code`";
    readonly "out-of-memory": "The kernel has no memory left for the request";
    readonly "out-of-range": "An address, an offset or a size goes beyond the end";
    readonly overlap: "The range overlaps one that is mapped already";
    readonly "permission-denied": "This process lacks a permission or a capability";
    readonly "protocol-error": "The peer sent data that its protocol does not allow";
    readonly "timed-out": "The answer did not come in time";
    readonly unavailable: "The device, or the driver that the call needs, is not there or has gone";
    readonly unsupported: "The kernel, the device or the peer does not have the feature";
    readonly "wrong-vf-token": "The device takes another VF token";
    readonly "would-block": "The call would have to wait, or has to be made again later";
};
/** Why a call was refused, for a program: the key of a row in docs/troubleshooting.md. */
export type Reason = keyof typeof reasons;
/**
 * The reason that an errno stands for where the call gives it no meaning of its own.
 *
 * @param number positive
 */
export declare function reasonOf(number: number): Reason;
