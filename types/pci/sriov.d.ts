import { type HostPaths } from "../kernel/files.js";
import { type PciAddress } from "./address.js";
/** Options of {@link setNumVfs}. */
export interface NumVfsOptions extends HostPaths {
    /**
     * Whether the kernel looks for drivers for the virtual functions. With `false` they come up without one and keep
     * so, except for a driver that is named by `driver_override`, as {@link bindDriver} does. Left as it is if not
     * given. It stays as it was set, for the functions made later too.
     */
    readonly autoprobe?: boolean;
    /** Remove virtual functions even if they are in use by others than this process. */
    readonly force?: boolean;
}
/**
 * Makes a device have so many virtual functions, or none.
 *
 * The kernel does it while the call lasts: when it returns, the functions are there, with their drivers if
 * `autoprobe` is on, or gone.
 *
 * @param address the physical function: `0000:01:00.0`, or `01:00.0` in domain 0
 * @param count how many; 0 removes them all. Another number than there are can only be had by way of 0: the hardware
 * has no other.
 * @returns the addresses of the virtual functions, in the order of their numbers
 * @throws RangeError (`ERR_OUT_OF_RANGE`) if the device has not so many; VfioError `EOPNOTSUPP` if it has no SR-IOV,
 * `ENOENT` if no driver is bound that can do it, `EBUSY` if there is another number of them or one of them is in use,
 * `EACCES` without the permission
 */
export declare function setNumVfs(address: string, count: number, options?: NumVfsOptions): PciAddress[];
