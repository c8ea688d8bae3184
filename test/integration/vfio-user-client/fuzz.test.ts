/**
 * A client and 100,000 messages of a server that knows the protocol well and keeps to none of it: answers to what was never asked,
 * answers of other lengths, requests for memory that is there and that is not, bits changed. `SEED=<n>` repeats one round.
 */
import { constants } from "node:os";
import { DmaBuffer, VfioError } from "vfio";
import type { UserContainer } from "vfio/user";
import { expect, test } from "vitest";
import { HEADER_SIZE, stampHeader } from "../../../lib/vfio-user/protocol/constants.js";
import * as messages from "../../../lib/vfio-user/protocol/messages.js";
import { Prng } from "../../unit/prng.js";
import { descriptorCount, FakeServer, type SentDescriptor } from "./fake-server.js";

const { E2BIG, EFAULT, EINVAL, ENOSYS, EPERM } = constants.errno;
const ROUNDS = 10;
const CALLS = 200;
const MESSAGES = 50;
const IOVA = 0x10_0000n;
const LENGTH = 8192;

const refusals = new Set([E2BIG, EFAULT, EINVAL, ENOSYS, EPERM]);

/** Numbers at which things go wrong. */
function odd(prng: Prng): bigint {
  return prng.pick([
    0n,
    1n,
    BigInt(prng.below(64)),
    IOVA + BigInt(prng.below(LENGTH)),
    IOVA + BigInt(LENGTH) - 1n,
    1n << 20n,
    (1n << 20n) + 1n,
    0xffff_ffffn,
    (1n << 63n) + 5n,
    (1n << 64n) - 1n,
  ]);
}

function noise(prng: Prng, length: number): Uint8Array {
  return Uint8Array.from({ length }, () => prng.below(256));
}

/** A request of the server's that could be meant. */
function request(prng: Prng): Uint8Array {
  const iova = prng.oneIn(2) ? IOVA + BigInt(prng.below(LENGTH)) : odd(prng);
  const message = prng.oneIn(2)
    ? messages.dmaRead.request.encode({ iova, count: prng.oneIn(3) ? odd(prng) : BigInt(prng.below(128)) })
    : messages.dmaWrite.request.encode({ iova, data: noise(prng, prng.below(128)) });
  const command = prng.oneIn(10) ? prng.below(20) : new DataView(message.buffer).getUint16(2, true);
  const number = message.length % 2 === 0 || command > 0 ? 11 + prng.below(2) : command;
  return stampHeader(
    message,
    prng.below(65536),
    prng.oneIn(10) ? prng.below(65536) : number,
    prng.oneIn(10) ? 0x10 : 0,
  );
}

/** An answer that nobody waits for: the id of the request at hand is not among them. */
function stray(prng: Prng, avoid: number): Uint8Array {
  const message = new Uint8Array(HEADER_SIZE + prng.below(80));
  message.set(noise(prng, message.length - HEADER_SIZE), HEADER_SIZE);
  const command = prng.below(20);
  return stampHeader(
    message,
    prng.below(65536),
    command === avoid ? 0 : command,
    prng.pick([1, 0x21, 0x31]),
    prng.below(200),
  );
}

/** An answer to the request at hand, more or less. */
function answer(prng: Prng, command: messages.Command<never, unknown> | { readonly number: number }, good: Uint8Array) {
  let payload = good.subarray(HEADER_SIZE);
  const fault = prng.below(8);
  if (fault === 0) payload = noise(prng, prng.below(100));
  if (fault === 1) payload = payload.subarray(0, prng.below(payload.length + 1));
  if (fault === 2 && payload.length > 0) {
    payload = Uint8Array.from(payload);
    payload[prng.below(payload.length)] = prng.below(256);
  }
  const message = new Uint8Array(HEADER_SIZE + payload.length);
  message.set(payload, HEADER_SIZE);
  const number = prng.oneIn(40) ? prng.below(20) : command.number;
  return stampHeader(
    message,
    0,
    number,
    prng.oneIn(5) ? 0x21 : 1,
    prng.oneIn(3) ? Number(odd(prng) & 0xffff_ffffn) : 22,
  );
}

interface Operation {
  readonly command: { readonly number: number };
  readonly good: Uint8Array;
  run(container: UserContainer, buffer: DmaBuffer): void;
}

function operation(prng: Prng): Operation {
  const offset = 4 * prng.below(64);
  const device = (container: UserContainer) => {
    const found = container.devices.get("fake");
    if (found === undefined) throw new Error("it is not attached");
    return found;
  };
  switch (prng.below(7)) {
    case 0:
      return {
        command: messages.regionRead,
        good: messages.regionRead.reply.encode({ offset: BigInt(offset), region: 7, data: noise(prng, 4) }),
        run: (container) => void device(container).region("config").read32(offset),
      };
    case 1:
      return {
        command: messages.regionWrite,
        good: messages.regionWrite.reply.encode({ offset: BigInt(offset), region: 7, count: 4 }),
        run: (container) => device(container).region("config").write32(offset, 1),
      };
    case 2:
      return {
        command: messages.dmaMap,
        good: new Uint8Array(HEADER_SIZE),
        run: (container, buffer) => void container.map(buffer, { iova: 1 << 30 }),
      };
    case 3:
      return {
        command: messages.dmaUnmap,
        good: new Uint8Array(HEADER_SIZE + 24),
        run: (container) => void container.unmap(1 << 30, LENGTH),
      };
    case 4:
      return {
        command: messages.deviceReset,
        good: new Uint8Array(HEADER_SIZE),
        run: (container) => device(container).reset(),
      };
    case 5:
      return {
        command: messages.deviceFeature,
        good: messages.deviceFeature.reply.encode({ argsz: 16, flags: 0x10001, data: noise(prng, 8) }),
        run: (container) => void device(container).features.get(1, new Uint8Array(8)),
      };
    default: {
      const index = prng.below(9);
      return {
        command: messages.deviceGetRegionInfo,
        good: messages.deviceGetRegionInfo.answer({
          argsz: 32,
          flags: prng.below(16),
          index,
          size: odd(prng),
          offset: odd(prng),
          capabilities: prng.oneIn(2) ? undefined : noise(prng, prng.below(64)),
        }),
        run: (container) => void device(container).findRegion(index),
      };
    }
  }
}

/** What a server says around an answer: some of it before, some behind, in one piece. */
function blob(prng: Prng, command: { readonly number: number }, good: Uint8Array) {
  const parts = Array.from({ length: MESSAGES - 1 }, () =>
    prng.oneIn(2) ? request(prng) : stray(prng, command.number),
  );
  const position = prng.below(parts.length);
  const idAt = parts.slice(0, position).reduce((sum, { length }) => sum + length, 0);
  const reply = prng.oneIn(50) ? stray(prng, command.number) : answer(prng, command, good);
  parts.splice(position, 0, reply);
  const bytes = Buffer.concat(parts);
  // Now and then nothing behind it can be found any more.
  if (prng.oneIn(40)) bytes[prng.below(bytes.length)] = prng.below(256);
  const fds: SentDescriptor[] = prng.oneIn(10)
    ? Array.from({ length: 1 + prng.below(20) }, () => ({ memfd: 4096 }))
    : [];
  return { bytes, idAt, fds };
}

/** The server is believed again: it answers as it should. */
function works(server: FakeServer, container: UserContainer): boolean {
  for (let attempt = 0; attempt < 5; attempt++) {
    server.forget();
    server.reply(messages.deviceReset, undefined);
    try {
      container.devices.get("fake")?.reset();
      return true;
    } catch (error) {
      if (error instanceof VfioError && error.code === "ENOTCONN") return false;
    }
  }
  return false;
}

function round(seed: number): { readonly messages: number; readonly connections: number } {
  const prng = new Prng(seed);
  const count = { messages: 0, connections: 0 };
  for (let call = 0; call < CALLS; ) {
    count.connections++;
    using server = new FakeServer();
    using served = DmaBuffer.allocate(LENGTH, { backing: "anonymous" });
    using buffer = DmaBuffer.allocate(LENGTH);
    const { container } = server.attach({ timeout: 10 });
    server.reply(messages.dmaMap, undefined);
    container.map(served, { iova: IOVA });
    server.region(7, 256);
    container.devices.get("fake")?.region("config");
    server.received();
    let over = false;
    while (!over && call < CALLS) {
      call++;
      const { command, good, run } = operation(prng);
      const { bytes, idAt, fds } = blob(prng, command, good);
      server.raw(bytes, idAt, fds);
      count.messages += MESSAGES;
      try {
        run(container, buffer);
      } catch (error) {
        // The server's own error numbers are among them.
        if (!(error instanceof VfioError)) throw error;
        over = error.code === "ENOTCONN";
      }
      for (const { flags, error } of server.received()) {
        if ((flags & 0xf) !== 0 && error !== 0) expect(refusals).toContain(error);
      }
      if (!over && call % 20 === 0) over = !works(server, container);
    }
    server.forget();
    if (!over) server.message(messages.dmaUnmap.number, new Uint8Array(24), "next");
    server.shutdown();
    container.close();
  }
  return count;
}

test("100,000 messages: no crash, no hang, no leak", () => {
  round(0);
  globalThis.gc?.();
  const before = descriptorCount();
  const { arrayBuffers } = process.memoryUsage();
  const only = process.env.SEED;
  const seeds = only === undefined ? Array.from({ length: ROUNDS }, (_, i) => i + 1) : [Number(only)];
  let total = 0;
  let connections = 0;
  for (const seed of seeds) {
    try {
      const count = round(seed);
      total += count.messages;
      connections += count.connections;
    } catch (error) {
      throw new Error(`with SEED=${seed}: ${error instanceof Error ? error.message : String(error)}`, { cause: error });
    }
  }
  expect(total).toBe(seeds.length * CALLS * MESSAGES);
  // Most of it is survived.
  expect(connections).toBeLessThan((seeds.length * CALLS) / 10);
  expect(descriptorCount()).toBe(before);
  globalThis.gc?.();
  expect(process.memoryUsage().arrayBuffers - arrayBuffers).toBeLessThan(16 << 20);
}, 60_000);
