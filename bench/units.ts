/**
 * Numbers as people read them.
 *
 * @module
 */
import type { Target } from "./measure.js";

const units: readonly (readonly [nanoseconds: number, name: string])[] = [
  [1e9, "s"],
  [1e6, "ms"],
  [1e3, "µs"],
  [1, "ns"],
];

/** Three digits that matter. */
function digits(value: number): string {
  return value.toFixed(value >= 100 ? 0 : value >= 10 ? 1 : 2);
}

/** A time. */
export function duration(nanoseconds: number): string {
  const [size, name] = units.find(([least]) => nanoseconds >= least) ?? [1, "ns"];
  return `${digits(nanoseconds / size)} ${name}`;
}

/** A multiple of the floor. */
export function multiple(ratio: number): string {
  return digits(ratio);
}

/** How many operations there are in a second, or how many bytes. */
export function rate(nanoseconds: number, bytes: number | undefined): string {
  if (bytes !== undefined) return `${digits(bytes / nanoseconds)} GB/s`;
  const perSecond = 1e9 / nanoseconds;
  return `${perSecond >= 100 ? Math.round(perSecond).toLocaleString("en") : digits(perSecond)}/s`;
}

/** What is wanted. */
export function targetText(target: Target): string {
  if ("ratio" in target) return `≤ ${multiple(target.ratio)} x C`;
  return "over" in target ? `≤ C + ${duration(target.over)}` : `≤ ${duration(target.at)}`;
}
