/**
 * Where this package is.
 *
 * @module
 */
/**
 * Its directory. Whoever needs a file of the package asks here: in the published form many modules are one file, and only this one is
 * as deep in it as it is in the sources.
 */
export declare const packageRoot: import("url").URL;
