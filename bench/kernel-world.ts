/**
 * Two containers of the same mode with a device in each: ours, and that of the floor's program.
 *
 * @module
 */
import {
  type ContainerMode,
  type Device,
  DmaBuffer,
  type DmaBufferOptions,
  IommufdContainer,
  type LegacyContainer,
  openContainer,
} from "vfio";
import { bindDriver, vfioCdevPath, vfioGroupPath } from "vfio/pci";
import { Cleanup } from "./cleanup.js";
import { Floor } from "./floor.js";
import { findDevices } from "./kernel-devices.js";
import type { Benchmark, Sides } from "./measure.js";

/** What a benchmark works with. */
export interface World {
  readonly container: LegacyContainer | IommufdContainer;
  readonly device: Device;
  /** `bench/floor/dma.c`, with a container and a device of its own. */
  readonly floor: Floor;
  /** What is to be undone before the containers go. */
  readonly cleanup: Cleanup;
}

// VFIO_TYPE1_IOMMU and VFIO_TYPE1v2_IOMMU
const types = { type1: 1, type1v2: 3, "compat-type1": 1, "compat-type1v2": 3 } as const;

/** How the floor's program opens a container of a mode, with a device that is bound. */
function attachOrder(mode: ContainerMode, address: string): string {
  if (mode === "iommufd") return `iommufd ${vfioCdevPath(address)}`;
  const node = mode.startsWith("compat") ? "/dev/iommu" : "/dev/vfio/vfio";
  return `legacy ${node} ${types[mode]} ${vfioGroupPath(address)} ${address}`;
}

/** Opens both, has a benchmark prepared, and takes everything down when it is over. */
export async function openWorld(
  mode: ContainerMode,
  prepare: (world: World) => Promise<Pick<Sides, "ours" | "floor">>,
): Promise<Sides> {
  await using cleanup = new Cleanup();
  const devices = findDevices();
  if (devices === undefined) throw new Error("there are no devices");
  for (const address of [devices.ours, devices.floors]) {
    const binding = bindDriver(address);
    cleanup.defer(() => {
      binding.restore();
    });
  }
  const container = openContainer({ mode });
  cleanup.defer(() => container.close());
  const device = container.attach(devices.ours);
  const floor = Floor.start("dma");
  cleanup.defer(() => floor[Symbol.asyncDispose]());
  await floor.order(attachOrder(mode, devices.floors));
  const sides = await prepare({ container, device, floor, cleanup });
  const all = cleanup.move();
  return { ...sides, [Symbol.asyncDispose]: () => all[Symbol.asyncDispose]() };
}

/** The kinds of memory: what they are called, and what makes them. */
export const memories = {
  anonymous: { what: "anonymous memory", options: { backing: "anonymous" } },
  memfd: { what: "a memfd", options: {} },
  "2m": { what: "huge pages of 2 MiB", options: { pages: "2M" } },
  thp: { what: "transparent huge pages", options: { backing: "anonymous", pages: "transparent" } },
  "1g": { what: "a huge page of 1 GiB", options: { pages: "1G" } },
} as const satisfies Record<string, { what: string; options: DmaBufferOptions }>;

/** A kind of memory. */
export type MemoryKind = keyof typeof memories;

/** Gives both sides memory of a kind, all of it populated: what has a file is the same for both. */
export async function shareMemory(
  { container, floor, cleanup }: World,
  kind: MemoryKind,
  length: number,
): Promise<DmaBuffer> {
  const memory = DmaBuffer.allocate(length, memories[kind].options);
  cleanup.defer(() => {
    // What is mapped cannot be closed; a container that was handed over has no mappings.
    if (!container.closed) container.unmapAll();
    memory.close();
  });
  memory.bytes.fill(1);
  const file = memory.backing();
  const source = file !== undefined ? `/proc/${process.pid}/fd/${file.fd}` : kind;
  await floor.order(`memory ${source} ${memory.length}`);
  return memory;
}

/** The numbers by which the kernel knows a container. */
export function numbersOf(container: World["container"]): { readonly fd: number; readonly ioas: number | undefined } {
  return container instanceof IommufdContainer
    ? { fd: container.iommufd.fd, ioas: container.ioas.id }
    : { fd: container.fd, ioas: undefined };
}

/** A benchmark without what is only for those who choose. */
export type Definition = Pick<Benchmark, "name" | "what" | "bytes" | "target">;
