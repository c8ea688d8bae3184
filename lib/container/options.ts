/**
 * The options and answers of a container's methods, and the checks of the options.
 *
 * @module
 */
import {
  anything,
  checkBoolean,
  checkFunction,
  checkRequired,
  checkSignal,
  checkU64,
  integer,
  knownOptions,
} from "../base/arguments.js";
import { argTypeError } from "../base/errors.js";
import type { LockedMemory } from "../kernel/memlock.js";
import { checkMemory, type DmaMemory } from "../memory/dma-buffer.js";
import type { IovaRange } from "../memory/iova.js";
import type { DmaMapping } from "./mapping.js";

/** How a device is attached. */
export interface AttachOptions {
  /** A virtual function's shared secret with its physical function's user, as a UUID. */
  readonly vfToken?: string;
  /**
   * Called with the descriptor (borrowed) of the VFIO file, the device's group or its character device, before the device is
   * opened through it: for a program that needs the file by then, as KVM's VFIO device does. It is called once for a group, with the
   * first of its devices. If it throws, the device is not attached.
   */
  readonly beforeOpen?: (file: number) => void;
}

/** How memory is mapped: the part of it, its IOVA, and the accesses that devices may make. */
export interface MapOptions {
  /** The IOVA. Left out, the container chooses one. */
  readonly iova?: number | bigint;
  /** Where in the memory the mapping begins, in bytes: a multiple of the page size. Default 0. */
  readonly offset?: number;
  /** In bytes: a multiple of the page size. Default: to the end of the memory. */
  readonly length?: number;
  /** Whether devices may read it. Default true. */
  readonly read?: boolean;
  /** Whether devices may write it. Default true. */
  readonly write?: boolean;
  /** What a chosen IOVA is a multiple of: a power of two. Default: as far as the length and its pages can profit. */
  readonly alignment?: number | bigint;
  /** The device's address mask: the highest IOVA that it can drive, for example `0xfffffff` for 28 bits. */
  readonly mask?: number | bigint;
}

/** One of many maps. */
export interface MapRequest extends MapOptions {
  readonly memory: DmaMemory;
}

/** What an unmap removed. */
export interface UnmapResult {
  /** How many bytes: 0 when nothing was mapped there. */
  readonly bytes: bigint;
  /** The mappings, which have ended. */
  readonly mappings: readonly DmaMapping[];
}

/** What a container can take. */
export interface ContainerLimits {
  /** How many more mappings the kernel allows; `Infinity` in the modes without such a limit. */
  readonly entriesLeft: number;
  /** The locked-memory limit and its use, which every mapping counts against. */
  readonly lockedMemory: LockedMemory;
}

/** What the kernel says of an I/O address space. */
export interface SpaceInfo {
  readonly ranges: readonly IovaRange[];
  /** A bitmap of page sizes; the lowest bit is the granularity. */
  readonly pageSizes: bigint;
  readonly entriesLeft: number;
}

export const attachOptions = knownOptions<AttachOptions>({ vfToken: anything, beforeOpen: checkFunction });
const mapChecks = {
  iova: checkU64,
  offset: integer(),
  length: integer(),
  read: checkBoolean,
  write: checkBoolean,
  alignment: checkU64,
  mask: checkU64,
} as const;
export const mapOptions = knownOptions<MapOptions>(mapChecks);
export const mapAsyncOptions = knownOptions<MapOptions & { signal: AbortSignal }>({
  ...mapChecks,
  signal: checkSignal,
});
const mapRequest = knownOptions<MapRequest>({ ...mapChecks, memory: checkMemory });

/** Checks each request when it is its turn. @throws TypeError, RangeError, with the place of the request */
export function* checkRequests(requests: readonly MapRequest[]): Generator<MapRequest, void> {
  if (!Array.isArray(requests)) throw argTypeError("requests", "an array", requests);
  for (const request of requests) {
    try {
      checkRequired("request", request, mapRequest, "memory");
    } catch {
      // Its place is found once it has been refused: to name each of ten thousand took a quarter of the check's time.
      checkRequired(`requests[${requests.indexOf(request)}]`, request, mapRequest, "memory");
    }
    yield request;
  }
}
