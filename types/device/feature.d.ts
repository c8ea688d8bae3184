/**
 * `VFIO_DEVICE_FEATURE`: optional abilities of a device or its driver, each with a number and a layout of its own.
 *
 * @module
 */
import type { OwnedFd } from "../kernel/fd.js";
/** The device's answer to {@link DeviceFeatures.set}. */
export interface FeatureAnswer {
    /**
     * The feature's structure after the call: a copy of the data that was given, with the answer written over it. It shows
     * what the device did with the request, for example the page size that `DMA_LOGGING_START` chose. A descriptor's number in
     * it means nothing by itself: use {@link fd}.
     */
    readonly bytes: Uint8Array;
    /**
     * The descriptor that the kernel made for the caller: with `MIG_DEVICE_STATE`, the stream of the device's state
     * (`data_fd`) for a state that has one. It belongs to the caller, who closes it. Undefined if there is none, and always
     * in mode `"vfio-user"`, where that state travels by messages.
     */
    readonly fd: OwnedFd | undefined;
}
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
     * @param data in the feature's layout; nothing for a feature without data. It is not changed
     * @returns the device's answer. A descriptor in it belongs to the caller
     * @throws VfioError ENOTTY if the device does not have it. A set that fails makes no descriptor
     */
    set(feature: number, data?: Uint8Array): FeatureAnswer;
    /**
     * Sets the secret that a user of this physical function's virtual functions must show (`vfToken` in `attach`). It counts
     * for those that are opened from now on. A secret cannot be read back.
     *
     * @param token a UUID
     * @throws VfioError ENOTTY if the device is not a physical function with SR-IOV
     */
    setVfToken(token: string): void;
}
