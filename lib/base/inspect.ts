/**
 * What `console.log` and `util.inspect` show of an object.
 *
 * @module
 */
import { inspect } from "node:util";

/**
 * Shows the objects of a class, and of classes derived from it, as one line: `DmaBuffer { 4096 bytes, open }`. The insides of an
 * object are of no use to a program, and there are fifty lines of a device's.
 *
 * @param tell what tells one object from another, and its state; it must not throw, whatever state the object is in
 */
export function showAs<T extends object>(type: { readonly prototype: T }, tell: (object: T) => string): void {
  Object.defineProperty(type.prototype, inspect.custom, {
    configurable: true,
    writable: true,
    value(this: T): string {
      return `${this.constructor.name} { ${tell(this)} }`;
    },
  });
}

/** A number of things: `1 device`, `2 devices`. */
export function counted(count: number, thing: string): string {
  return `${count} ${thing}${count === 1 ? "" : "s"}`;
}

/** Names in a row: `a, b`, or `none`. */
export function listed(names: Iterable<string>): string {
  return [...names].join(", ") || "none";
}

/** Whether something is closed. */
export function openOrClosed({ closed }: { readonly closed: boolean }): string {
  return closed ? "closed" : "open";
}
