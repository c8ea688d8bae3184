/**
 * What a received descriptor is, before it is used as that.
 *
 * @module
 */
/** What a descriptor must be. */
export type DescriptorKind = 
/** The program's own: anything. */
{
    readonly kind: "any";
} | {
    readonly kind: "eventfd";
}
/** A memfd, or a file in a memory file system, of at least so many bytes. */
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
