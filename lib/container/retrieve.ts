/**
 * A container of the kernel's, as a former process has left it, with its devices. The kernel is asked about it, and nothing is
 * changed.
 *
 * @module
 */
import { outOfRangeError } from "../base/errors.js";
import type { Attachment } from "../device/attachment.js";
import { mapDeviceState, type PreservedDevice } from "../device/state.js";
import type { OwnedFd } from "../kernel/fd.js";
import type { Container } from "./container.js";
import type { KernelContainerState } from "./hand-over.js";
import { IommufdContainer } from "./iommufd.js";
import { LegacyContainer } from "./legacy.js";

/** A container in the manifest. */
export interface RetrievedContainer extends KernelContainerState {
  readonly devices: readonly PreservedDevice[];
}

/**
 * Makes the container and its devices, which are frozen.
 *
 * @param fd the received descriptors by their indexes; those of the container belong to it from here on
 * @throws what the kernel refuses; the container is then closed
 * @internal
 */
export function retrieveContainer(item: RetrievedContainer, fd: (index: number) => OwnedFd): Container {
  const { mode, descriptor, ioas } = item;
  if (mode === "iommufd") {
    const container = IommufdContainer.retrieve(fd(descriptor), required("ioas", ioas));
    return withDevices(container, item, fd, ({ address, descriptor, iommufdId, pageTableId }) =>
      container.inheritedTie(address, fd(descriptor), {
        iommufdId: required("iommufdId", iommufdId),
        pageTableId: required("pageTableId", pageTableId),
      }),
    );
  }
  const groups = item.groups.map(({ id, descriptor }) => ({ id, fd: fd(descriptor) }));
  const container = LegacyContainer.retrieve(mode, fd(descriptor), groups);
  return withDevices(container, item, fd, ({ address, descriptor, group }) =>
    container.inheritedTie(address, fd(descriptor), required("group", group)),
  );
}

function required(name: string, value: number | undefined): number {
  if (value === undefined) throw outOfRangeError(name, "a number", value);
  return value;
}

function withDevices(
  container: Container,
  { devices }: RetrievedContainer,
  fd: (index: number) => OwnedFd,
  tie: (device: PreservedDevice) => Attachment,
): Container {
  try {
    container.inheritDevices(devices.map((device) => ({ tie: tie(device), state: mapDeviceState(device, fd) })));
    return container;
  } catch (error) {
    container.disown();
    throw error;
  }
}
