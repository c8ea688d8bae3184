import { existsSync } from "node:fs";
import { type ContainerMode, openContainer, VfioError } from "vfio";
import { inRig } from "./selection.js";

/** Why this host does not have a mode; undefined if it has. */
function whyNot(mode: ContainerMode): string | undefined {
  if (mode === "iommufd" && !existsSync("/sys/class/vfio-dev")) {
    return "this kernel gives VFIO devices no nodes of their own (CONFIG_VFIO_DEVICE_CDEV)";
  }
  if (mode !== "iommufd" && !existsSync("/sys/class/vfio")) {
    return "this kernel gives VFIO groups no nodes (CONFIG_VFIO_GROUP)";
  }
  try {
    openContainer({ mode }).close();
    return undefined;
  } catch (error) {
    if (error instanceof VfioError) return error.why ?? error.message;
    throw error;
  }
}

/**
 * The kernel's five container modes, of which the rig has all and a host perhaps not. Every test about DMA runs in each
 * of them.
 *
 * The list is written out, and not the library's own, so that a mode that is lost there is missed here.
 */
const all = [
  "type1",
  "type1v2",
  "compat-type1",
  "compat-type1v2",
  "iommufd",
] as const satisfies readonly ContainerMode[];

/** The modes that this host does not have, and why. */
export const modesLeftOut: ReadonlyMap<ContainerMode, string> = new Map(
  inRig
    ? []
    : all.flatMap((mode) => {
        const reason = whyNot(mode);
        return reason === undefined ? [] : [[mode, reason]];
      }),
);

export const modes = all.filter((mode) => !modesLeftOut.has(mode));
