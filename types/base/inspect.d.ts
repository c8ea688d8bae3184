/**
 * Shows the objects of a class, and of classes derived from it, as one line: `DmaBuffer { 4096 bytes, open }`. The insides of an
 * object are of no use to a program, and there are fifty lines of a device's.
 *
 * @param tell what tells one object from another, and its state; it must not throw, whatever state the object is in
 */
export declare function showAs<T extends object>(type: {
    readonly prototype: T;
}, tell: (object: T) => string): void;
/** A number of things: `1 device`, `2 devices`. */
export declare function counted(count: number, thing: string): string;
/** Names in a row: `a, b`, or `none`. */
export declare function listed(names: Iterable<string>): string;
/** Whether something is closed. */
export declare function openOrClosed({ closed }: {
    readonly closed: boolean;
}): string;
