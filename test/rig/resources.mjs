import { readdirSync, readFileSync, readlinkSync } from "node:fs";

/**
 * What a leak would show in: descriptors, locked and pinned memory, mapped memory files. Plain JavaScript, because the
 * processes that tests start load it too.
 *
 * @typedef {object} Resources
 * @property {readonly string[]} descriptors
 * @property {number} lockedKiB
 * @property {number} pinnedKiB
 * @property {number} dmaMappings
 */

/** @param {string} name */
const status = (name) =>
  Number(new RegExp(`^${name}:\\s*(\\d+)`, "m").exec(readFileSync("/proc/self/status", "latin1"))?.[1] ?? 0);

/**
 * Counts what this process holds.
 *
 * @returns {Resources}
 */
export function resources() {
  const descriptors = readdirSync("/proc/self/fd").flatMap((fd) => {
    try {
      const target = readlinkSync(`/proc/self/fd/${fd}`);
      return /vfio|iommu|eventfd|memfd|dmabuf|kvm/.test(target) ? [target] : [];
    } catch {
      return []; // the descriptor that readdir itself used
    }
  });
  const maps = readFileSync("/proc/self/maps", "latin1");
  return {
    descriptors: descriptors.sort(),
    lockedKiB: status("VmLck"),
    pinnedKiB: status("VmPin"),
    dmaMappings: (maps.match(/memfd:|vfio-device|anon_inode:|\/dev\/vfio/g) ?? []).length,
  };
}
