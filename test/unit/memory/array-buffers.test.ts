/** The ArrayBuffers over a mapping: how many there are, and what is known of them when it ends. */
import { describe, expect, test } from "vitest";
import { type MappingHandle, native } from "../../../lib/kernel/native.js";
import { ArrayBuffers } from "../../../lib/memory/array-buffers.js";
import { DmaBuffer } from "../../../lib/memory/dma-buffer.js";

const [EINVAL, SIZE] = [22, 16384];

function mapping(): MappingHandle {
  const result = native.mmap(SIZE, 3, 0x22, -1, 0, 0);
  if (typeof result === "number") throw new Error(`mmap: ${result}`);
  return result;
}

function bufferOf(buffers: ArrayBuffers, of: MappingHandle, offset: number, length: number): ArrayBuffer {
  const buffer = buffers.of(of, offset, length);
  if (typeof buffer === "number") throw new Error(`no buffer: ${buffer}`);
  return buffer;
}

describe("the ArrayBuffers over a mapping", () => {
  test("are as many as the parts that were asked for, however often", () => {
    const [memory, buffers] = [mapping(), new ArrayBuffers()];
    const first = bufferOf(buffers, memory, 4096, 100);
    for (let i = 0; i < 100; i++) expect(bufferOf(buffers, memory, 4096, 100)).toBe(first);
    const others = [bufferOf(buffers, memory, 4096, 101), bufferOf(buffers, memory, 0, 100)];
    expect(new Set([first, ...others]).size).toBe(3);
    expect(buffers.of(memory, SIZE, 1)).toBe(-EINVAL);
    expect(buffers.detach()).toBe(true);
    expect([first, ...others].map(({ byteLength }) => byteLength)).toEqual([0, 0, 0]);
    native.munmap(memory);
  });

  test("one that was moved is noticed at the end, also if the part was asked for again", () => {
    const [memory, buffers] = [mapping(), new ArrayBuffers()];
    // What `transfer()` leaves behind, which Node 20 does not have.
    const moved = bufferOf(buffers, memory, 0, 4096);
    native.detachArrayBuffer(moved);
    const again = bufferOf(buffers, memory, 0, 4096);
    expect([moved.byteLength, again.byteLength]).toEqual([0, 4096]);
    expect(buffers.detach()).toBe(false);
    expect(again.byteLength).toBe(0);
  });

  test("a DmaBuffer's window is the same one each time", () => {
    using buffer = DmaBuffer.allocate(SIZE);
    expect(buffer.window(4096, 100)).toBe(buffer.window(4096, 100));
    expect(() => buffer.window(SIZE, 1)).toThrow(RangeError);
  });
});
