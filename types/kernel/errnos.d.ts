/**
 * Meanings of errnos that are the same for every caller of a request.
 *
 * @module
 */
import type { Meaning } from "../base/errors.js";
/** What errnos mean for one call, by their names. */
export type Errnos = Readonly<Partial<Record<string, Meaning>>>;
export declare const destroy: Errnos;
/** `IOMMU_IOAS_MAP`, `IOMMU_IOAS_MAP_FILE` */
export declare const ioasMap: Errnos;
export declare const ioasCopy: Errnos;
export declare const ioasUnmap: Errnos;
export declare const allowIovas: Errnos;
export declare const changeProcess: Errnos;
