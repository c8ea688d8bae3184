// What a program of ECMAScript modules sees. It is only compiled.
import { type Device, openContainer, support, VfioError } from "vfio";
import { listPciDevices, type PciDevice } from "vfio/pci";
import { cacheDirectory } from "vfio/rig";
import { eduDevice, VfioUserServer } from "vfio/user";

const why: string | undefined = support.supported ? undefined : support.why;
const devices: readonly { readonly address: string }[] = listPciDevices();
using container = openContainer();
const device: Device = container.attach(devices[0]?.address ?? "0000:00:00.0");
const value: number = device.region("bar0").registers().read32(0);
// @ts-expect-error an offset is a number: the types are there, and are not all "any"
device.region("bar0").registers().read32("0");

export type Found = PciDevice;
export { cacheDirectory, eduDevice, VfioError, VfioUserServer, value, why };
