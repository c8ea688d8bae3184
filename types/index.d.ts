/**
 * `vfio`: user-space devices for Node.js.
 *
 * @module
 */
export { errnoName, VfioError, type VfioErrorInit } from "./errors.js";
