export * from "./errors.js";
export * from "./guest.js";
export * from "./job.js";
export * from "./machine.js";
