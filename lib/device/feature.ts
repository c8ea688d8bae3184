/**
 * `VFIO_DEVICE_FEATURE`: optional abilities of a device or its driver, each with a number and a layout of its own.
 *
 * @module
 */

import { constants } from "node:os";
import { checkBytes, checkInteger, oneOf } from "../base/arguments.js";
import { VfioError } from "../base/errors.js";
import { showAs } from "../base/inspect.js";
import type { OwnedFd } from "../kernel/fd.js";
import {
  VFIO_DEVICE_FEATURE_GET,
  VFIO_DEVICE_FEATURE_MASK,
  VFIO_DEVICE_FEATURE_PCI_VF_TOKEN,
  VFIO_DEVICE_FEATURE_PROBE,
  VFIO_DEVICE_FEATURE_SET,
} from "../kernel/uapi.js";
import type { OpenDevice } from "./open-device.js";
import { vfTokenBytes } from "./vf-token.js";

const { EINVAL, ENOTTY, EOPNOTSUPP } = constants.errno;

const operations = { get: VFIO_DEVICE_FEATURE_GET, set: VFIO_DEVICE_FEATURE_SET } as const;
const checkOperation = oneOf(Object.keys(operations));

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
export class DeviceFeatures {
  readonly #device: OpenDevice;

  /** @internal */
  constructor(device: OpenDevice) {
    this.#device = device;
  }

  /**
   * Whether the device has a feature, and whether it can be got or set as asked.
   *
   * @throws VfioError for anything but the answer "no"
   */
  has(feature: number, operation: "get" | "set"): boolean {
    checkOperation("operation", operation);
    const flags = VFIO_DEVICE_FEATURE_PROBE | operations[operation] | checkFeature(feature);
    const status = this.#device.port.feature(flags);
    // ENOTTY: the kernel or the driver does not know it. EINVAL: it is known, and not for this operation.
    if (status === -ENOTTY || status === -EINVAL || status === -EOPNOTSUPP) return false;
    if (status < 0) throw this.#refusal("probe", feature, status);
    return true;
  }

  /**
   * Gets a feature's data.
   *
   * @param data in the feature's layout; what the layout wants to be told is read from it, the answer is written to it
   * @returns the call's own result: 0, or a descriptor (which then belongs to the caller) for a feature that makes one
   * @throws VfioError ENOTTY if the device does not have it
   */
  get(feature: number, data: Uint8Array): number {
    checkBytes("data", data);
    const status = this.#device.port.feature(VFIO_DEVICE_FEATURE_GET | checkFeature(feature), data);
    if (status < 0) throw this.#refusal("get", feature, status);
    return status;
  }

  /**
   * Sets a feature.
   *
   * @param data in the feature's layout; nothing for a feature without data. It is not changed
   * @returns the device's answer. A descriptor in it belongs to the caller
   * @throws VfioError ENOTTY if the device does not have it. A set that fails makes no descriptor
   */
  set(feature: number, data: Uint8Array = new Uint8Array(0)): FeatureAnswer {
    checkBytes("data", data);
    // Not slice(): a Buffer's shares the memory.
    const bytes = new Uint8Array(data);
    const { port } = this.#device;
    const status = port.feature(VFIO_DEVICE_FEATURE_SET | checkFeature(feature), bytes);
    if (status < 0) throw this.#refusal("set", feature, status);
    return { bytes, fd: port.adoptAnsweredFd(feature, bytes) };
  }

  /**
   * Sets the secret that a user of this physical function's virtual functions must show (`vfToken` in `attach`). It counts
   * for those that are opened from now on. A secret cannot be read back.
   *
   * @param token a UUID
   * @throws VfioError ENOTTY if the device is not a physical function with SR-IOV
   */
  setVfToken(token: string): void {
    this.set(VFIO_DEVICE_FEATURE_PCI_VF_TOKEN, vfTokenBytes(token));
  }

  #refusal(operation: "probe" | "get" | "set", feature: number, status: number): VfioError {
    const token = feature === VFIO_DEVICE_FEATURE_PCI_VF_TOKEN;
    return new VfioError({
      errno: status,
      syscall: this.#device.port.calls.request,
      request: "VFIO_DEVICE_FEATURE",
      args: { operation, feature },
      object: this.#device.address,
      ...(status === -ENOTTY
        ? {
            why: token
              ? "it is not a physical function with SR-IOV on a driver that shares it (vfio-pci with enable_sriov)"
              : "the device, its driver or this kernel does not have the feature",
          }
        : {}),
      ...(status === -EINVAL ? { why: `the feature has no ${operation}, or its data has another layout` } : {}),
    });
  }
}

function checkFeature(feature: number): number {
  return checkInteger("feature", feature, 0, VFIO_DEVICE_FEATURE_MASK);
}

showAs(DeviceFeatures, () => "device features");
