import type { OpenDevice } from "./open-device.js";
/** A device that a hot reset takes along. */
export interface HotResetDevice {
    /** `0000:03:00.1` */
    readonly address: string;
    /** Its IOMMU group, if the device that was asked was opened through its group. */
    readonly group: number | undefined;
    /** Its id in the iommufd, if the device that was asked is in one and this one is open in the same. */
    readonly iommufdId: number | undefined;
    /**
     * Whether this process may reset it: its group is in the same container, or it (or a device of its group) is in the same
     * iommufd.
     */
    readonly owned: boolean;
}
/** What a hot reset would do. */
export interface HotResetInfo {
    /** How the kernel names the devices: by their groups, or by their ids in an iommufd. */
    readonly by: "group" | "iommufd";
    /** All affected devices, the asked one among them. */
    readonly devices: readonly HotResetDevice[];
    /** Whether `hotReset()` is allowed: every one of them is owned. */
    readonly allowed: boolean;
}
/** @throws VfioError */
export declare function reset(device: OpenDevice): void;
/** @throws VfioError */
export declare function resetAsync(device: OpenDevice): Promise<void>;
/**
 * @returns undefined if the device can have no hot reset
 * @throws VfioError
 */
export declare function hotResetInfo(device: OpenDevice): HotResetInfo | undefined;
/** @throws VfioError */
export declare function hotReset(device: OpenDevice): HotResetInfo;
