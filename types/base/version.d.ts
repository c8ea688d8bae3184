/**
 * The version of this package.
 *
 * @module
 */
/** As in package.json, which a bundle does not have beside it. */
export declare const version = "0.1.0";
