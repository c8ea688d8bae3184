import { OwnedFd } from "../kernel/fd.js";
import type { OpenDevice } from "./open-device.js";
/** @throws VfioError */
export declare function exportDmaBuf(device: OpenDevice, region: {
    readonly index: number;
    readonly label: string;
}, offset: number, length: number): OwnedFd;
