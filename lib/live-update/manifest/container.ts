/**
 * Containers of the kernel: legacy ones, and iommufds.
 *
 * @module
 */
import type { ContainerMode } from "../../container/modes.js";
import type { DescriptorKind } from "../descriptor-kind.js";
import { modeCodes } from "./codes.js";
import { checkUnique, device } from "./device.js";
import { mappings } from "./mappings.js";
import { code, dependent, descriptor, id, item, list, name, only, quote, type ValueOf } from "./schema.js";

export function nameContainer(container: { readonly name: string }): string {
  return `container ${quote(container.name)}`;
}

const group = item(
  { id: id(), descriptor: descriptor() },
  {
    name: ({ id }, container) => `group ${id} in ${container}`,
    descriptors: { descriptor: ({ id }, what) => ({ expected: { kind: "group", id }, what }) },
  },
);

function expectedOf(mode: ContainerMode): DescriptorKind {
  if (mode === "iommufd") return { kind: "iommufd" };
  return { kind: "legacy-container", compat: mode === "compat-type1" || mode === "compat-type1v2" };
}

/** The fields after the mode. */
const rest = (mode: ContainerMode) => {
  const isIommufd = mode === "iommufd";
  return item(
    {
      /** `/dev/vfio/vfio`, or the iommufd. */
      descriptor: descriptor(),
      /** iommufd: the id of its address space. */
      ioas: only(isIommufd, id(), undefined),
      /** Legacy: its groups. */
      groups: only(!isIommufd, list(group, "descriptors"), []),
      devices: list(device(isIommufd), "descriptors"),
      mappings,
    },
    {
      descriptors: { descriptor: (_, what) => ({ expected: expectedOf(mode), what }) },
      rule({ groups, devices }, name, refuse) {
        if (isIommufd) {
          checkUnique(devices, ({ iommufdId }) => [iommufdId ?? -1, `device id ${iommufdId} in ${name()}`], refuse);
          return;
        }
        checkUnique(groups, ({ id }) => [id, `group ${id}`], refuse);
        const [known, unused] = [new Set(groups.map(({ id }) => id)), new Set(groups.map(({ id }) => id))];
        for (const { address, group } of devices) {
          if (group === undefined || !known.has(group)) {
            const where = `device ${quote(address)} in ${name()}`;
            throw refuse(`${where} is of group ${group}, which its container does not have`);
          }
          unused.delete(group);
        }
        for (const id of unused) throw refuse(`group ${id} in ${name()} has no device`);
      },
    },
  );
};

const rests = {
  type1: rest("type1"),
  type1v2: rest("type1v2"),
  "compat-type1": rest("compat-type1"),
  "compat-type1v2": rest("compat-type1v2"),
  iommufd: rest("iommufd"),
};

export const container = dependent(
  {
    /** The program's name for it. */
    name: name(),
    mode: code(modeCodes),
  },
  rests.type1,
  ({ mode }) => rests[mode],
  nameContainer,
);
export type ContainerItem = ValueOf<typeof container>;
