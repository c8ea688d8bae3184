/** Which name a number has. Found out when it is asked for: most programs never are. */
export type Names = () => ReadonlyMap<number, string>;
export declare const none: Names;
export declare const dmaMapFlags: Names;
export declare const dmaUnmapFlags: Names;
export declare const dirtyPagesFlags: Names;
export declare const vfioExtensions: Names;
export declare const iommuInfoFlags: Names;
export declare const deviceFlags: Names;
export declare const regionFlags: Names;
export declare const irqInfoFlags: Names;
export declare const hotResetFlags: Names;
export declare const irqSetFlags: Names;
export declare const irqIndexes: Names;
export declare const groupFlags: Names;
export declare const features: Names;
export declare const featureFlags: Names;
export declare const ioasMapFlags: Names;
export declare const iommuOptions: Names;
export declare const iommuOptionOperations: Names;
export declare const vfioIoasOperations: Names;
export declare const kvmCapabilities: Names;
export declare const irqfdFlags: Names;
export declare const ioeventfdFlags: Names;
export declare const kvmDeviceTypes: Names;
/** BAR0 to BAR5 are in a row; the constants are its ends. */
export declare const regionIndexes: Names;
export declare const openFlags: Names;
export declare const protections: Names;
export declare const mmapFlags: Names;
export declare const advices: Names;
export declare const memfdFlags: Names;
export declare const seals: Names;
export declare const socketTypes: Names;
export declare const socketOptions: Names;
export declare const shutdowns: Names;
export declare const messageFlags: Names;
/** The addon's own numbers, which are libuv's. */
export declare const pollEvents: Names;
