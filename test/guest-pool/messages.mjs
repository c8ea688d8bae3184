/**
 * Messages on a byte stream: a length of four bytes, little endian, and a structured clone.
 *
 * Plain JavaScript, for the guest runs it as it is.
 *
 * @module
 */
import { deserialize, serialize } from "node:v8";

/**
 * @param {unknown} message
 * @returns {Buffer}
 */
export function encodeMessage(message) {
  const body = serialize(message);
  const head = Buffer.alloc(4);
  head.writeUInt32LE(body.length);
  return Buffer.concat([head, body]);
}

/** Cuts a stream of bytes into messages. */
export class MessageDecoder {
  #pending = Buffer.alloc(0);
  #onMessage;

  /** @param {(message: unknown) => void} onMessage */
  constructor(onMessage) {
    this.#onMessage = onMessage;
  }

  /** @param {Buffer} chunk */
  push(chunk) {
    this.#pending = Buffer.concat([this.#pending, chunk]);
    while (this.#pending.length >= 4) {
      const end = 4 + this.#pending.readUInt32LE();
      if (this.#pending.length < end) return;
      const message = deserialize(this.#pending.subarray(4, end));
      this.#pending = this.#pending.subarray(end);
      this.#onMessage(message);
    }
  }
}
