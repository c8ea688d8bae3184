import type { Native } from "./contract.js";
/** Makes an addon's functions ones that can be traced, and begins where `NODE_DEBUG` or a subscriber wants it. */
export declare function offerTracing(native: Native): void;
