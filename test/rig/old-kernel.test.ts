/** Linux before 5.12 cannot unmap everything at once (VFIO_UNMAP_ALL): a filter of system calls makes this one such a kernel. */
import { execFile, spawnSync } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { bind, devices, onlyIf, usableIova } from "./devices.js";
import { modes } from "./modes.js";
import { inRig } from "./selection.js";

const run = promisify(execFile);
const here = (file: string) => fileURLToPath(new URL(file, import.meta.url));
const directory = mkdtempSync(join(tmpdir(), "vfio-old-kernel-"));
const filter = join(directory, "old-kernel");
const built = spawnSync(process.env.CC ?? "cc", ["-o", filter, here("old-kernel.c")], { encoding: "utf8" });
const hasFilter = onlyIf(inRig || built.status === 0, "takes a C compiler");

afterAll(() => rmSync(directory, { recursive: true }));

// iommufd, and its emulation, came later.
const oldModes = modes.filter((mode) => mode === "type1" || mode === "type1v2");

describe.each(oldModes)("%s of a kernel without VFIO_UNMAP_ALL", hasFilter, (mode) => {
  let binding: Disposable;

  beforeAll(() => {
    binding = bind(devices.any);
  });

  afterAll(() => {
    binding[Symbol.dispose]();
  });

  it("unmaps everything, one mapping at a time", async () => {
    expect(built.stderr).toBe("");
    const iova = usableIova(devices.any, 0x4000_0000n);
    const program = [here("old-kernel.mjs"), mode, devices.any, String(iova)];
    const { stdout } = await run(filter, [process.execPath, ...program]);
    expect(JSON.parse(stdout)).toEqual({
      unmapAll: false,
      bytes: 3 * 4096,
      mappings: 3,
      ended: Array(5).fill(true),
      requests: ["0"],
    });
  });
});
