/** The features of a device, by the numbers of `VFIO_DEVICE_FEATURE_*` in `linux/vfio.h`. */
export declare class DeviceFeatures {
    #private;
    /**
     * Whether the device has a feature, and whether it can be got or set as asked.
     *
     * @throws VfioError for anything but the answer "no"
     */
    has(feature: number, operation: "get" | "set"): boolean;
    /**
     * Gets a feature's data.
     *
     * @param data in the feature's layout; what the layout wants to be told is read from it, the answer is written to it
     * @returns the call's own result: 0, or a descriptor (which then belongs to the caller) for a feature that makes one
     * @throws VfioError ENOTTY if the device does not have it
     */
    get(feature: number, data: Uint8Array): number;
    /**
     * Sets a feature.
     *
     * @param data in the feature's layout; nothing for a feature without data
     * @throws VfioError ENOTTY if the device does not have it
     */
    set(feature: number, data?: Uint8Array): void;
    /**
     * Sets the secret that a user of this physical function's virtual functions must show (`vfToken` in `attach`). It counts
     * for those that are opened from now on. A secret cannot be read back.
     *
     * @param token a UUID
     * @throws VfioError ENOTTY if the device is not a physical function with SR-IOV
     */
    setVfToken(token: string): void;
}
