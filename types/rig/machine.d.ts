/** The IOMMUs that QEMU emulates, and a machine without one. */
export declare const iommuKinds: readonly ["intel", "amd", "virtio", "none"];
/** The emulated IOMMU: Intel VT-d, AMD-Vi or virtio-iommu; or none. */
export type IommuKind = (typeof iommuKinds)[number];
/** What the machine is made of. */
export interface Machine {
    /** Guest memory, in MiB. */
    readonly memory: number;
    /** Virtual CPUs. The kernel of the rig knows at most 8. */
    readonly cpus: number;
    /** The IOMMU between the devices and memory. Without one the kernel gives no device to user space. */
    readonly iommu: IommuKind;
    /** Devices beside the default ones, each as QEMU's `-device` takes it. */
    readonly devices: readonly string[];
}
/** Guest memory if nobody says otherwise: huge pages of both sizes take 1.5 GiB, a test-suite under Node 1 GiB. */
export declare const defaultMemory = 4096;
/** Virtual CPUs if nobody says otherwise: a test and a device under test run side by side. */
export declare const defaultCpus = 2;
/** Below this the kernel boots, but leaves Node no room beside the huge pages. */
export declare const leastMemory = 1024;
/** `CONFIG_NR_CPUS` of the rig's kernel. */
export declare const mostCpus = 8;
/**
 * Read a size as QEMU writes it: a number of MiB, or one with a suffix `M` or `G`.
 *
 * @returns MiB
 * @throws RangeError (`ERR_OUT_OF_RANGE`) for anything else, or less than {@link leastMemory}
 */
export declare function parseMemory(text: string): number;
/**
 * The devices of the default machine, in the order of their addresses, as QEMU's arguments.
 *
 * Root ports carry what must be a PCI Express endpoint of its own; without a port, a device on the root complex would be
 * an integrated endpoint, which cannot be reset through its slot and has no neighbours to be grouped with. The network
 * cards have no boot ROM: Debian packages it apart, and nothing boots from them.
 *
 * @param iommu the machine's IOMMU
 * @param disk path of a raw image for the NVMe controller; it is opened as a snapshot, so it is never written
 */
export declare function defaultDevices(iommu: IommuKind, disk: string): string[];
/** The file descriptors, inherited by QEMU, that carry the guest's channels. */
export declare const channels: {
    readonly console: 3;
    readonly control: 4;
    readonly stdin: 5;
    readonly stdout: 6;
    readonly stderr: 7;
};
/** What QEMU needs beside the machine itself. */
export interface Boot {
    /** Path of the kernel's bzImage. */
    readonly kernel: string;
    /** A directory on the host with `init.sh` and `job.sh`; QEMU and the guest only read it. */
    readonly directory: string;
    /** Path of the raw image behind the NVMe controller. */
    readonly disk: string;
    /** Give the guest a terminal in place of three pipes. */
    readonly interactive: boolean;
}
/** The guest kernel's command line. */
export declare function kernelCommandLine(machine: Machine, boot: Boot): string;
/** QEMU's arguments for a machine. */
export declare function qemuArguments(machine: Machine, boot: Boot): string[];
