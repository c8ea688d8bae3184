/**
 * Map and unmap below the API: by the package's own shim, and by what one would take without it, the FFI package `koffi`.
 *
 * @module
 */
import { createRequire } from "node:module";
import { native } from "../kernel/native.js";

/** What is mapped, where: numbers only, for a worker. */
export interface Place {
  /** The container's descriptor, or the iommufd's. */
  readonly fd: number;
  /** iommufd's address space; undefined for a legacy container. */
  readonly ioas: number | undefined;
  readonly address: number;
  /** The memory's file, for iommufd. */
  readonly file: number | undefined;
  readonly iova: number;
  readonly length: number;
}

/** Maps and unmaps a place so many times. */
export type MapLoop = (count: number) => void;

const READ_WRITE = 3;
// IOMMU_IOAS_MAP_FIXED_IOVA, _WRITEABLE and _READABLE
const FIXED_READ_WRITE = 7;

function refuse(what: string, status: number | bigint): never {
  throw new Error(`${what} answers ${status}`);
}

function shim({ fd, ioas, address, file, iova, length }: Place): MapLoop {
  const map =
    ioas === undefined
      ? () => native.vfioIommuMapDma(fd, READ_WRITE, address, iova, length)
      : file === undefined
        ? () => native.iommufdIoasMap(fd, FIXED_READ_WRITE, ioas, address, iova, length)
        : () => native.iommufdIoasMapFile(fd, FIXED_READ_WRITE, ioas, file, 0, iova, length);
  const unmap =
    ioas === undefined
      ? () => native.vfioIommuUnmapDma(fd, 0, iova, length)
      : () => native.iommufdIoasUnmap(fd, ioas, iova, length);
  return (count) => {
    for (let i = 0; i < count; i++) {
      const mapped = map();
      if (mapped < 0) refuse("map", mapped);
      const removed = unmap();
      if (removed !== length) refuse("unmap", removed);
    }
  };
}

/** What the benchmark of `koffi` lacks. */
export function lacksKoffi(): string | undefined {
  try {
    createRequire(import.meta.url).resolve("koffi");
    return undefined;
  } catch {
    return "no koffi: npm install koffi";
  }
}

// As its documentation has it: structures are declared, objects are passed, and koffi converts them.
async function ffi({ fd, ioas, address, file, iova, length }: Place): Promise<MapLoop> {
  const { default: koffi } = await import("koffi");
  const structures = {
    dma_map: { argsz: "uint32_t", flags: "uint32_t", vaddr: "uint64_t", iova: "uint64_t", size: "uint64_t" },
    dma_unmap: { argsz: "uint32_t", flags: "uint32_t", iova: "uint64_t", size: "uint64_t" },
    ioas_map: {
      size: "uint32_t",
      flags: "uint32_t",
      ioas_id: "uint32_t",
      reserved: "uint32_t",
      user_va: "uint64_t",
      length: "uint64_t",
      iova: "uint64_t",
    },
    ioas_map_file: {
      size: "uint32_t",
      flags: "uint32_t",
      ioas_id: "uint32_t",
      fd: "int32_t",
      start: "uint64_t",
      length: "uint64_t",
      iova: "uint64_t",
    },
    ioas_unmap: { size: "uint32_t", ioas_id: "uint32_t", iova: "uint64_t", length: "uint64_t" },
  } as const;
  const libc = koffi.load(null);
  const request = (number: number, name: keyof typeof structures) => {
    const type = koffi.struct(structures[name]);
    const ioctl = libc.func("ioctl", "int", ["int", "unsigned long", koffi.inout(koffi.pointer(type))]);
    return (argument: Record<string, number>) => {
      const status: unknown = ioctl(fd, number, argument);
      if (status !== 0) refuse(`${name}: ioctl`, -koffi.errno());
    };
  };
  // The requests' numbers are _IO(';', 113), (';', 114), (';', 0x85), (';', 0x86) and (';', 0x8f).
  if (ioas === undefined) {
    const map = request(0x3b71, "dma_map");
    const unmap = request(0x3b72, "dma_unmap");
    return (count) => {
      for (let i = 0; i < count; i++) {
        map({ argsz: 32, flags: READ_WRITE, vaddr: address, iova, size: length });
        unmap({ argsz: 24, flags: 0, iova, size: length });
      }
    };
  }
  const unmap = request(0x3b86, "ioas_unmap");
  if (file === undefined) {
    const map = request(0x3b85, "ioas_map");
    return (count) => {
      for (let i = 0; i < count; i++) {
        map({ size: 40, flags: FIXED_READ_WRITE, ioas_id: ioas, reserved: 0, user_va: address, length, iova });
        unmap({ size: 24, ioas_id: ioas, iova, length });
      }
    };
  }
  const map = request(0x3b8f, "ioas_map_file");
  return (count) => {
    for (let i = 0; i < count; i++) {
      map({ size: 40, flags: FIXED_READ_WRITE, ioas_id: ioas, fd: file, start: 0, length, iova });
      unmap({ size: 24, ioas_id: ioas, iova, length });
    }
  };
}

/** How a map is asked for. */
export type Way = "shim" | "koffi";

/** What maps and unmaps a place. */
export async function mapLoop(way: Way, place: Place): Promise<MapLoop> {
  return way === "shim" ? shim(place) : await ffi(place);
}
