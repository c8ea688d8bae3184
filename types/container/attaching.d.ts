/** A sentence for each process that has a PCI device, or its group, open; empty where none can be seen. */
export declare function holdersOf(device: string): string[];
/**
 * Why a device was refused for its VF token: a virtual function asks for the token that its physical function's user has set, and a
 * physical function whose virtual functions are open asks for the one that they were opened with.
 */
export declare function explainVfToken(device: string, vfToken: string | undefined): {
    why: string;
    fix: string;
};
/** How to do without interrupt remapping, for those who may. */
export declare function unsafeInterrupts(module: "iommufd" | "vfio_iommu_type1"): string;
/** Whether a device is a mediated one, whose name is a UUID. */
export declare function isMediated(address: string): boolean;
/** The kernel's name of a device in its group: a PCI address in full, or a mediated device's UUID. */
export declare function deviceName(address: string): string;
