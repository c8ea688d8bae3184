/**
 * Watches an object that owns a kernel object.
 *
 * @param owner the object
 * @param what what stays behind when it is forgotten
 * @param remedy the call that the program forgot
 * @returns a function that ends the watch, for when the object is closed properly
 */
export declare function watchForLeak(owner: object, what: string, remedy: string): () => void;
