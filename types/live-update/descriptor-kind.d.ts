import { type HostPaths } from "../kernel/files.js";
/** What a descriptor must be. */
export type DescriptorKind = 
/** The program's own: anything. */
{
    readonly kind: "any";
} | {
    readonly kind: "eventfd";
} | {
    readonly kind: "socket";
}
/** A memfd, or a file in a memory file system, of at least so many bytes, open for reading and writing. */
 | {
    readonly kind: "memory";
    readonly length: number;
}
/** `/dev/vfio/vfio`, or `/dev/iommu` in the compatibility modes. */
 | {
    readonly kind: "legacy-container";
    readonly compat: boolean;
} | {
    readonly kind: "iommufd";
}
/** `/dev/vfio/N` */
 | {
    readonly kind: "group";
    readonly id: number;
}
/** A VFIO device that was opened through its group, or by its own node. */
 | {
    readonly kind: "device";
    readonly address: string;
    readonly through: "group" | "cdev";
};
/**
 * Checks that a descriptor is what it is said to be. Nothing is done with it.
 *
 * The length of a memory file is as it is now: whoever else has the descriptor can shorten the file.
 *
 * @param fd borrowed
 * @param what what it is to the program, for the message
 * @throws VfioError `EBADF` if it is something else, with both
 */
export declare function checkDescriptor(fd: number, expected: DescriptorKind, what: string, paths?: HostPaths): void;
