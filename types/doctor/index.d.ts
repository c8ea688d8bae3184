/** Finding out what keeps a device from working. @module */
export { type Attempt, type Check, type CheckState, type Diagnosis, diagnose, tryModes } from "./diagnose.js";
export { type KernelFeatures, readKernelFeatures } from "./features.js";
