/**
 * What `console.log` shows of each public object of this entry point, in one line.
 *
 * @module
 */
export {};
