import { OwnedFd } from "./fd.js";
/** Why something failed, and what to do about it, as far as that is known. */
interface Explanation {
    readonly why?: string;
    readonly fix?: string;
}
/**
 * Opens a device node for reading and writing.
 *
 * @param explain why a given errno happened and what to do about it, where the caller knows more than the errno
 * @throws VfioError
 */
export declare function openNode(path: string, explain?: (errno: number) => Explanation): OwnedFd;
export {};
