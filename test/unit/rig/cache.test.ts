import { mkdir, mkdtemp, rm, utimes, writeFile } from "node:fs/promises";
import { homedir, tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { cacheDirectory, cachedKernel, configHash, kernelKey, withLock } from "../../../lib/rig/cache.js";

test("the cache is where XDG says", () => {
  expect(cacheDirectory({ XDG_CACHE_HOME: "/var/cache/me" })).toBe("/var/cache/me/vfio/rig");
  expect(cacheDirectory({ XDG_CACHE_HOME: "relative" })).toBe(join(homedir(), ".cache/vfio/rig"));
  expect(cacheDirectory({})).toBe(join(homedir(), ".cache/vfio/rig"));
});

describe("a kernel's key", () => {
  test("changes with the source and with the configuration", () => {
    const key = kernelKey("7.3.4-1", "CONFIG_A=y\n");
    expect(kernelKey("7.3.5-1", "CONFIG_A=y\n")).not.toBe(key);
    expect(kernelKey("7.3.4-1", "CONFIG_A=n\n")).not.toBe(key);
    expect(kernelKey("7.3.4-1", "CONFIG_A=y\n")).toBe(key);
  });

  test("does not change with comments and empty lines", () => {
    expect(configHash("# why\nCONFIG_A=y\n\nCONFIG_B=y\n")).toBe(configHash("CONFIG_A=y\nCONFIG_B=y"));
  });

  test("is one name of a directory", () => {
    expect(kernelKey("1:7.3.4-1~bpo13+1", "")).toMatch(/^1_7\.3\.4-1~bpo13\+1-[0-9a-f]{16}$/);
  });
});

describe("the cache", () => {
  let directory: string;
  beforeEach(async () => {
    directory = await mkdtemp(join(tmpdir(), "vfio-cache-"));
  });
  afterEach(async () => await rm(directory, { recursive: true }));

  async function add(version: string, config: string, time: number): Promise<string> {
    const path = join(directory, kernelKey(version, config), "bzImage");
    await mkdir(join(path, ".."));
    await writeFile(path, "");
    await utimes(path, time, time);
    return path;
  }

  test("has nothing at first", async () => {
    expect(await cachedKernel(directory, "CONFIG_A=y")).toBeUndefined();
    expect(await cachedKernel(join(directory, "none"), "CONFIG_A=y")).toBeUndefined();
  });

  test("finds the kernel of a configuration that was built last, of whatever source", async () => {
    await add("7.3.4", "CONFIG_A=y", 1000);
    const newest = await add("7.2.9", "CONFIG_A=y", 3000);
    await add("7.4.1", "CONFIG_B=y", 4000);
    expect(await cachedKernel(directory, "CONFIG_A=y")).toBe(newest);
  });

  test("does not find a directory without its image", async () => {
    await mkdir(join(directory, kernelKey("7.3.4", "CONFIG_A=y")));
    expect(await cachedKernel(directory, "CONFIG_A=y")).toBeUndefined();
  });
});

describe("the lock", () => {
  const name = `test-${process.pid}`;

  test("lets one in at a time, and tells the others that they wait", async () => {
    const events: string[] = [];
    let inside = 0;
    const enter = (who: string) =>
      withLock(
        name,
        () => events.push(`${who} waits`),
        async () => {
          expect(++inside).toBe(1);
          events.push(`${who} in`);
          await new Promise((resolve) => setImmediate(resolve));
          inside--;
          return who;
        },
      );
    expect(await Promise.all([enter("a"), enter("b"), enter("c")])).toEqual(["a", "b", "c"]);
    expect(events.filter((event) => event.endsWith("in"))).toHaveLength(3);
    expect(events).toContain("b waits");
  });

  test("is not waited for any longer than the caller likes", async () => {
    const abort = new AbortController();
    let release = () => {};
    const held = withLock(
      name,
      () => {},
      () => new Promise<void>((resolve) => (release = resolve)),
    );
    const waiting = withLock(
      name,
      () => abort.abort(new Error("enough")),
      async () => "in",
      abort.signal,
    );
    await expect(waiting).rejects.toThrow("enough");
    release();
    await held;
  });

  test("is free again after a failure", async () => {
    const never = () => expect.unreachable("nobody else has it");
    await expect(withLock(name, never, async () => Promise.reject(new Error("no luck")))).rejects.toThrow("no luck");
    expect(await withLock(name, never, async () => "free")).toBe("free");
  });
});
