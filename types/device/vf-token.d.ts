/**
 * The 16 bytes of a VF token, in the order in which its UUID is written.
 *
 * @throws TypeError, RangeError
 */
export declare function vfTokenBytes(token: string): Uint8Array;
