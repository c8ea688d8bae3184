/** Registers of a vfio-user device: by a mapping, by messages, in programs. Mistakes are answered alike. */
import { spawn } from "node:child_process";
import { once } from "node:events";
import path from "node:path";
import { fileURLToPath } from "node:url";
import type { ConfigSpace, Region, RegionMap } from "vfio";
import { UserContainer } from "vfio/user";
import { afterAll, beforeAll, expect, test } from "vitest";
import { expectMistakesRefused, expectMistakesRefusedInPrograms } from "../../register-mistakes.js";
import { socketDirectory } from "./edu-process.js";

const outOfRange = expect.objectContaining({ code: "ERR_OUT_OF_RANGE" });
const wrongType = expect.objectContaining({ code: "ERR_INVALID_ARG_TYPE" });

const directory = socketDirectory();
const socket = path.join(directory.path, "page.sock");
const server = spawn(
  process.execPath,
  [fileURLToPath(new URL("../watchpoints/page-server.mjs", import.meta.url)), socket],
  {
    stdio: ["pipe", "pipe", "inherit"],
  },
);
let container: UserContainer;
let config: ConfigSpace;
let bar: Region;
let map: RegionMap;

beforeAll(async () => {
  await once(server.stdout, "data");
  container = UserContainer.open({ socket });
  const device = container.attach();
  config = device.config;
  bar = device.region("bar0");
  map = bar.map();
});

afterAll(async () => {
  container.close();
  server.stdin.end();
  await once(server, "exit");
  directory[Symbol.dispose]();
});

test.each(["a mapping", "messages"] as const)("a mistake by %s is refused, and nothing is written", (way) => {
  const registers = way === "a mapping" ? map : bar;
  registers.write64(0, 0x1122_3344_5566_7788n);
  expectMistakesRefused(registers);
  expectMistakesRefusedInPrograms(registers);
  expect(registers.read64(0)).toBe(0x1122_3344_5566_7788n);
});

test("a mistake in config space is refused", () => {
  expectMistakesRefused(config);
});

test("a part that is no part of the region is refused in one way", () => {
  const parts: ((offset: number, length: number) => unknown)[] = [
    (offset, length) => bar.read(offset, length),
    (offset, length) => bar.map(offset, length),
    (offset, length) => bar.exportDmaBuf(offset, length),
    (offset, length) => map.unsafeArrayBuffer(offset, length),
    (offset, length) => config.read(offset, length),
  ];
  for (const part of parts) {
    for (const [offset, length] of [
      [-4096, 4096],
      [0.5, 1],
      [4096, 4096],
      [0, Number.NaN],
      [0, 2 ** 53],
    ] as const) {
      expect(() => part(offset, length)).toThrow(outOfRange);
    }
    expect(() => Reflect.apply(part, undefined, ["0", 4096])).toThrow(wrongType);
    expect(() => Reflect.apply(part, undefined, [0, 4096n])).toThrow(wrongType);
  }
});
