/**
 * The modes in which a container can be run.
 *
 * @module
 */
/**
 * The kernel's five ways to run a container: type1 in its first and second version behind `/dev/vfio/vfio`, the same two
 * as emulated by iommufd behind `/dev/iommu`, and iommufd itself.
 */
export type ContainerMode = "type1" | "type1v2" | "compat-type1" | "compat-type1v2" | "iommufd";
/** How a container is run: in one of the kernel's ways, or by a process that emulates the device (vfio-user). */
export type AnyContainerMode = ContainerMode | "vfio-user";
/** The modes of a legacy container. */
export type LegacyMode = Exclude<ContainerMode, "iommufd">;
/** Every {@link ContainerMode}. */
export declare const containerModes: readonly ContainerMode[];
