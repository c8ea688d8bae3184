/**
 * Manifests that somebody has tampered with. Their checksums are right, so that they are read to the end.
 *
 * Whatever comes, the decoder gives back a manifest that encodes to exactly these bytes, or throws a VfioError that says why.
 */
import { describe, expect, it } from "vitest";
import { VfioError } from "../../../lib/base/errors.js";
import { decodeFrozen, encodeFrozen } from "../../../lib/live-update/manifest/frozen.js";
import { decodeManifest, encodeManifest, type Manifest } from "../../../lib/live-update/manifest/manifest.js";
import { forSeeds, type Prng } from "../prng.js";
import { documentOf, HEADER, randomFrozen, randomManifest, recordsOf, sample, sealed } from "./manifests.js";

const SEEDS = 100;
const ROUNDS = 1000;

const interesting = [0, 1, 2, 3, 7, 64, 255, 4096, 0x7fff_ffff, 0x8000_0000, 0xffff_fffe, 0xffff_ffff];

/** Changes bytes in place. */
function tamper(prng: Prng, bytes: Uint8Array): void {
  if (bytes.length < HEADER + 8) return;
  const at = prng.between(HEADER, bytes.length - 8);
  const view = new DataView(bytes.buffer, bytes.byteOffset);
  switch (prng.below(5)) {
    case 0:
      bytes[at] = (bytes[at] ?? 0) ^ (1 << prng.below(8));
      break;
    case 1:
      bytes[at] = prng.below(256);
      break;
    case 2:
      view.setUint32(at, prng.pick(interesting), true);
      break;
    case 3:
      // Small steps keep most of the rules, and so reach the others.
      bytes[at] = ((bytes[at] ?? 0) + prng.pick([1, 255])) & 0xff;
      break;
    default:
      bytes.copyWithin(at, prng.between(HEADER, bytes.length - 1), bytes.length);
  }
}

/** Changes the lengths of things: a document whose records fit together again, or not. */
function reshape(prng: Prng, bytes: Uint8Array): Uint8Array {
  const at = prng.between(HEADER, bytes.length - 1);
  const some = Uint8Array.from({ length: prng.between(1, 40) }, () => (prng.oneIn(2) ? 0 : prng.below(256)));
  switch (prng.below(4)) {
    case 0:
      return Buffer.concat([bytes.subarray(0, at), some, bytes.subarray(at)]);
    case 1:
      return Buffer.concat([bytes.subarray(0, at), bytes.subarray(Math.min(bytes.length, at + prng.between(1, 40)))]);
    case 2: {
      const records = recordsOf(bytes);
      const [from, to] = [prng.below(records.length), prng.below(records.length)];
      const record = records[from];
      if (record !== undefined) records.splice(to, prng.below(2), record);
      return documentOf(bytes, records);
    }
    default: {
      // Within a record, whose length is made to fit.
      const place = prng.below(6);
      const records = recordsOf(bytes).map(([number, payload], index): readonly [number, Uint8Array] => {
        if (index !== place) return [number, payload];
        const cut = prng.below(payload.length + 1);
        const rest = payload.subarray(Math.min(payload.length, cut + (prng.oneIn(2) ? 0 : prng.below(40))));
        return [number, Buffer.concat([payload.subarray(0, cut), prng.oneIn(2) ? some : payload.subarray(0, 0), rest])];
      });
      return documentOf(bytes, records);
    }
  }
}

/** The outcome, after checking that it is one of the two that there may be. */
function outcome(decode: () => Uint8Array, bytes: Uint8Array): string {
  let again: Uint8Array;
  try {
    again = decode();
  } catch (error) {
    if (!(error instanceof VfioError)) throw error;
    if (!error.object?.startsWith("the manifest") || error.why === undefined || error.message.length > 4096)
      throw error;
    return error.code;
  }
  expect(Buffer.compare(again, bytes)).toBe(0);
  return "accepted";
}

function fuzz(
  original: (prng: Prng) => { readonly bytes: Uint8Array; readonly decode: (bytes: Uint8Array) => Uint8Array },
  rounds: number,
): Map<string, number> {
  const outcomes = new Map<string, number>();
  forSeeds(SEEDS, (prng) => {
    const { bytes, decode } = original(prng);
    for (let round = 0; round < rounds; round++) {
      const reshaped = prng.oneIn(4);
      const changed = Uint8Array.from(reshaped ? reshape(prng, bytes) : bytes);
      if (!reshaped || prng.oneIn(2)) for (let n = prng.between(1, 3); n > 0; n--) tamper(prng, changed);
      const whole = sealed(changed);
      const result = outcome(() => decode(whole), whole);
      outcomes.set(result, (outcomes.get(result) ?? 0) + 1);
    }
  });
  return outcomes;
}

function source(prng: Prng): { readonly manifest: Manifest; readonly descriptorCount: number } {
  // The sample has everything; a random one may be small.
  return prng.oneIn(2) ? sample() : randomManifest(prng);
}

describe("tampering", () => {
  it("with 100,000 manifests is refused, or makes other ones, and takes no memory", { timeout: 120_000 }, () => {
    globalThis.gc?.();
    const before = process.memoryUsage();
    const outcomes = fuzz((prng) => {
      const { manifest, descriptorCount } = source(prng);
      const decode = (bytes: Uint8Array) => encodeManifest(decodeManifest(bytes, descriptorCount));
      return { bytes: encodeManifest(manifest), decode };
    }, ROUNDS);
    globalThis.gc?.();
    const after = process.memoryUsage();
    expect(after.heapUsed + after.arrayBuffers - before.heapUsed - before.arrayBuffers).toBeLessThan(16 << 20);
    if (process.env.SEED !== undefined) return;
    // Form, rules, and what is only something else.
    for (const result of ["EPROTO", "EINVAL", "accepted"]) expect(outcomes.get(result)).toBeGreaterThan(1000);
  });

  it("with frozen parts as well", { timeout: 60_000 }, () => {
    const outcomes = fuzz((prng) => {
      const { manifest } = source(prng);
      const decode = (bytes: Uint8Array) => encodeFrozen(decodeFrozen(bytes, manifest));
      return { bytes: encodeFrozen(randomFrozen(prng, manifest)), decode };
    }, ROUNDS / 10);
    if (process.env.SEED !== undefined) return;
    for (const result of ["EPROTO", "EINVAL", "accepted"]) expect(outcomes.get(result)).toBeGreaterThan(10);
  });
});
