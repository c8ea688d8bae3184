/**
 * A number that must be an integer between two others.
 *
 * @throws TypeError, RangeError
 */
export declare function checkInteger(name: string, value: unknown, low?: number, high?: number): number;
/**
 * A part of something that has `size` bytes.
 *
 * @param whole what has these bytes, for the error
 * @throws TypeError, RangeError
 */
export declare function checkPart(whole: string, size: number, offset: unknown, length: unknown): void;
