import type { ContainerMode } from "vfio";

/**
 * The kernel's five container modes. Every test about DMA runs in each of them.
 *
 * The list is written out, and not the library's own, so that a mode that is lost there is missed here.
 */
export const modes = [
  "type1",
  "type1v2",
  "compat-type1",
  "compat-type1v2",
  "iommufd",
] as const satisfies readonly ContainerMode[];
