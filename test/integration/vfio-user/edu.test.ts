/** The edu device in TypeScript, over the socket, message by message. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { native } from "../../../lib/kernel/native.js";
import { eduDevice } from "../../../lib/vfio-user/devices/edu.js";
import {
  deviceGetInfo,
  deviceGetRegionInfo,
  deviceSetIrqs,
  dmaMap,
  regionRead,
  regionWrite,
} from "../../../lib/vfio-user/protocol/messages.js";
import { VfioUserServer } from "../../../lib/vfio-user/server/server.js";
import { RawClient } from "./raw-client.js";

let directory: string;
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), "vfio-user-"));
});
afterEach(() => rmSync(directory, { recursive: true }));

async function read32(client: RawClient, offset: number, region = 0): Promise<number> {
  const { data } = await client.ask(regionRead, { offset: BigInt(offset), region, count: 4 });
  return new DataView(data.buffer, data.byteOffset).getUint32(0, true);
}

async function write32(client: RawClient, offset: number, value: number, region = 0): Promise<void> {
  const data = new Uint8Array(4);
  new DataView(data.buffer).setUint32(0, value, true);
  await client.ask(regionWrite, { offset: BigInt(offset), region, data });
}

test("registers, interrupts and DMA", async () => {
  using device = eduDevice({ dmaDelay: 1 });
  using server = VfioUserServer.listen(device, join(directory, "edu"));
  using client = await RawClient.open(join(directory, "edu"));
  expect(server.connected).toBe(true);
  expect(await client.ask(deviceGetInfo, { argsz: 16 })).toMatchObject({ numRegions: 9, numIrqs: 5 });
  expect(await client.ask(deviceGetRegionInfo, { argsz: 32, index: 0 })).toMatchObject({ size: 1n << 20n });
  expect(await read32(client, 0, 7)).toBe(0x11e8_1234);
  expect(await read32(client, 0)).toBe(0x0100_00ed);
  await write32(client, 4, 0x1234_5678);
  expect(await read32(client, 4)).toBe(~0x1234_5678 >>> 0);

  const eventfd = native.eventfd();
  await client.ask(deviceSetIrqs, { flags: 0x24, index: 1, start: 0, count: 1, data: new Uint8Array(0) }, [eventfd]);
  await write32(client, 0x60, 0x2);
  expect(native.eventfdWait(eventfd, 1000)).toBe(1);
  expect(await read32(client, 0x24)).toBe(2);

  await write32(client, 4, 0x6, 7);
  const memfd = native.memfdCreate("test", 0);
  native.ftruncate(memfd, 8192);
  native.pwrite(memfd, Uint8Array.of(1, 2, 3, 4), 4096);
  await client.ask(dmaMap, { flags: 3, offset: 4096n, iova: 0x10000n, size: 4096n }, [memfd]);
  await write32(client, 0x80, 0x10000);
  await write32(client, 0x88, 0x40000);
  await write32(client, 0x90, 4);
  await write32(client, 0x98, 5);
  while ((await read32(client, 0x24)) !== 0x102);
  await write32(client, 0x80, 0x40000);
  await write32(client, 0x88, 0x10100);
  await write32(client, 0x98, 3);
  while ((await read32(client, 0x98)) & 1);
  const back = new Uint8Array(4);
  native.pread(memfd, back, 4096 + 0x100);
  expect([...back]).toEqual([1, 2, 3, 4]);
  native.close(memfd);
  native.close(eventfd);
});
