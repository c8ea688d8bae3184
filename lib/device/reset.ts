/**
 * Resets: of the function alone (`VFIO_DEVICE_RESET`), and of everything behind its slot or bus (hot reset).
 *
 * @module
 */
import { constants } from "node:os";
import { setTimeout as delay } from "node:timers/promises";
import { VfioError } from "../base/errors.js";
import { type Attempt, withEnoughRoom } from "../kernel/enough-room.js";
import { VFIO_PCI_HOT_RESET_FLAG_DEV_ID } from "../kernel/uapi.js";
import type { OpenDevice } from "./open-device.js";

const { EAGAIN, EBUSY, EINVAL, ENODEV, ENOSPC, ENOTTY, EPERM } = constants.errno;

// The kernel's own self-test tries as often, and waits as long in between.
const ATTEMPTS = 20;
const PAUSE_MS = 10;

// linux/vfio.h: the values of a dependent device's devid that are not ids
const DEVID_OWNED = 0;
const DEVID_NOT_OWNED = 0xffff_ffff;

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

function refuseReset(device: OpenDevice, status: number): VfioError {
  const reasons: ReadonlyMap<number, { why: string; fix?: string }> = new Map([
    [
      EAGAIN,
      {
        why: `something else holds the device (a bind, a reset of its bus), and did so for ${ATTEMPTS * PAUSE_MS} ms`,
        fix: "try again",
      },
    ],
    [EINVAL, noReset(device)],
    [ENOTTY, { why: "the device, or its driver, has no reset" }],
  ]);
  return new VfioError({
    errno: status,
    syscall: device.port.calls.request,
    request: "VFIO_DEVICE_RESET",
    object: device.address,
    ...reasons.get(-status),
  });
}

function noReset(device: OpenDevice): { why: string; fix?: string } {
  const why = "the device has no reset of its own: neither FLR nor a power-management reset, nor a bus of its own";
  if (hotResetInfo(device) === undefined) return { why };
  return { why, fix: "use hotReset(), which resets its slot or bus with all devices there" };
}

/** Blocks this thread. */
function pause(milliseconds: number): void {
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, milliseconds);
}

/** @throws VfioError */
export function reset(device: OpenDevice): void {
  device.refuseLocked();
  let status = -EAGAIN;
  for (let attempt = 0; status === -EAGAIN && attempt < ATTEMPTS; attempt++) {
    // A reset blocks for 100 ms by PCI Express's own rule (the time after FLR), so waiting here changes nothing.
    if (attempt > 0) pause(PAUSE_MS);
    status = device.port.reset();
  }
  if (status < 0) throw refuseReset(device, status);
}

/** @throws VfioError */
export async function resetAsync(device: OpenDevice): Promise<void> {
  device.refuseLocked();
  let status = -EAGAIN;
  device.underWay = "a reset";
  try {
    for (let attempt = 0; status === -EAGAIN && attempt < ATTEMPTS; attempt++) {
      if (attempt > 0) await delay(PAUSE_MS);
      status = await device.port.resetAsync();
    }
  } finally {
    device.underWay = undefined;
  }
  if (status < 0) throw refuseReset(device, status);
}

function hex(value: number, digits: number): string {
  return value.toString(16).padStart(digits, "0");
}

/**
 * @returns undefined if the device can have no hot reset
 * @throws VfioError
 */
export function hotResetInfo(device: OpenDevice): HotResetInfo | undefined {
  // The first call is answered ENOSPC and the count.
  return withEnoughRoom(
    0,
    (room) => readHotResetInfo(device, room),
    () =>
      new VfioError({
        ...hotResetCall("VFIO_DEVICE_GET_PCI_HOT_RESET_INFO", device),
        errno: ENOSPC,
        why: "the list kept growing while it was read",
        fix: "try again when no device is being plugged in",
      }),
  );
}

function readHotResetInfo(device: OpenDevice, room: number): Attempt<HotResetInfo | undefined> {
  const info = device.port.hotResetInfo(room);
  // Neither its slot nor its bus can be reset (it sits on the root complex), or it is no PCI device.
  if (info === -ENODEV || info === -ENOTTY) return { answer: undefined };
  // EAGAIN: a device came while the kernel counted.
  if (info === -EAGAIN) return { room };
  if (typeof info === "number") {
    const why = info === -EPERM ? { why: "one of the devices is in no IOMMU group" } : {};
    throw new VfioError({ ...hotResetCall("VFIO_DEVICE_GET_PCI_HOT_RESET_INFO", device), errno: info, ...why });
  }
  if (info.devices.length < info.count) return { room: info.count };
  return { answer: describe(device, info.flags, info.devices) };
}

function hotResetCall(request: string, device: OpenDevice) {
  return { syscall: device.port.calls.request, request, object: device.address };
}

function describe(
  device: OpenDevice,
  flags: number,
  entries: readonly {
    readonly id: number;
    readonly segment: number;
    readonly bus: number;
    readonly devfn: number;
  }[],
): HotResetInfo {
  const byId = (flags & VFIO_PCI_HOT_RESET_FLAG_DEV_ID) !== 0;
  const groups = byId ? undefined : device.attachment.groupFds();
  const devices = entries.map(({ id, segment, bus, devfn }): HotResetDevice => {
    const address = `${hex(segment, 4)}:${hex(bus, 2)}:${hex(devfn >> 3, 2)}.${devfn & 7}`;
    if (groups !== undefined) return { address, group: id, iommufdId: undefined, owned: groups.has(id) };
    const open = id !== DEVID_OWNED && id !== DEVID_NOT_OWNED;
    return { address, group: undefined, iommufdId: open ? id : undefined, owned: id !== DEVID_NOT_OWNED };
  });
  return { by: byId ? "iommufd" : "group", devices, allowed: devices.every(({ owned }) => owned) };
}

/** @throws VfioError */
export function hotReset(device: OpenDevice): HotResetInfo {
  device.refuseLocked();
  const call = hotResetCall("VFIO_DEVICE_PCI_HOT_RESET", device);
  const info = hotResetInfo(device);
  if (info === undefined) {
    throw new VfioError({
      ...call,
      errno: ENODEV,
      why: "neither its slot nor its bus can be reset: it sits on the root complex, or has a bridge beside it",
    });
  }
  const foreign = info.devices.filter(({ owned }) => !owned);
  if (foreign.length > 0) throw refuseForeign(device, info, foreign);
  const status = device.port.hotReset(resetFiles(device, info));
  if (status < 0) {
    const reasons: ReadonlyMap<number, { why: string; fix?: string }> = new Map([
      [
        EINVAL,
        { why: "one of the affected devices is not bound to a VFIO driver", fix: "bind all of them to vfio-pci" },
      ],
      [EBUSY, { why: "a register of one of the devices is being accessed by another thread", fix: "try again" }],
      [EAGAIN, { why: "something else holds one of the devices (a bind, another reset)", fix: "try again" }],
      [
        ENOTTY,
        {
          why: "the reset was made, but the kernel did not see the link or a device come back in time",
          fix: "look into the kernel's log (dmesg); close the devices and attach them again",
        },
      ],
    ]);
    throw new VfioError({ ...call, errno: status, ...reasons.get(-status) });
  }
  return info;
}

/** One descriptor for each affected group; none for a device in an iommufd. */
function resetFiles(device: OpenDevice, info: HotResetInfo): Int32Array {
  if (info.by === "iommufd") return new Int32Array(0);
  const fds = device.attachment.groupFds();
  const affected = new Set(info.devices.map(({ group }) => group));
  return Int32Array.from([...fds].filter(([group]) => affected.has(group)).map(([, fd]) => fd));
}

function refuseForeign(device: OpenDevice, info: HotResetInfo, foreign: readonly HotResetDevice[]): VfioError {
  const list = foreign.map(({ address, group }) => (group === undefined ? address : `${address} (group ${group})`));
  const where = info.by === "group" ? "container" : "iommufd";
  const one = foreign.length === 1;
  return new VfioError({
    ...hotResetCall("VFIO_DEVICE_PCI_HOT_RESET", device),
    errno: EPERM,
    args: { affected: info.devices.length, foreign: foreign.length },
    why: `it would reset ${list.join(", ")} too, which ${one ? "is" : "are"} not in this ${where}`,
    fix: `bind ${one ? "it" : "them"} to vfio-pci and attach ${one ? "it" : "them"} to the same ${where}`,
  });
}
