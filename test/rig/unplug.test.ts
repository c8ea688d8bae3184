/**
 * Devices that are taken away while a container has them: unbound from their driver, or removed from their bus. The kernel asks for
 * the device (REQ), and the program closes it.
 */
import { execFile } from "node:child_process";
import { existsSync, writeFileSync } from "node:fs";
import { promisify } from "node:util";
import { AddressSpace, type Container, type Device, DmaBuffer, type MemoryPart, openContainer } from "vfio";
import { type Binding, bindDriver, readIommuGroup } from "vfio/pci";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { native } from "../../lib/kernel/native.js";
import { devices, needs, rigOnly } from "./devices.js";
import { PAGE } from "./memory.js";
import { modes } from "./modes.js";
import { resources } from "./resources.mjs";

const run = promisify(execFile);
const IOVA = 0x4000_0000n;
const { edu, igb } = devices;
const [pair0 = "none", pair1 = "none"] = devices.pair;

/** Writes a file of sysfs in another process: the write ends when the device is closed. */
async function write(path: string, value: string): Promise<void> {
  await run("sh", ["-c", 'echo "$1" > "$0"', path, value]);
}

const unbind = (address: string) => write("/sys/bus/pci/drivers/vfio-pci/unbind", address);
const remove = (address: string) => write(`/sys/bus/pci/devices/${address}/remove`, "1");

const ways = [
  ["unbound from its driver", unbind],
  ["removed from its bus", remove],
] as const;

/** What a container asks the kernel for when its last device has left. */
const lastCalls = ["vfioIommuUnmapDma", "vfioGroupUnsetContainer", "iommufdIoasUnmap"] as const;

/** Holds those calls until the kernel is through with the device, which it is at work on beside this process. */
function kernelFirst(address: string): Disposable {
  const driver = `/sys/bus/pci/devices/${address}/driver`;
  const originals = lastCalls.map((name) => [name, native[name]] as const);
  for (const [name, original] of originals) {
    Reflect.set(native, name, (...args: unknown[]) => {
      const deadline = performance.now() + 20_000;
      while (existsSync(driver)) if (performance.now() > deadline) throw new Error(`${driver} stays`);
      return Reflect.apply(original, native, args);
    });
  }
  return {
    [Symbol.dispose]: () => {
      for (const [name, original] of originals) Reflect.set(native, name, original);
    },
  };
}

const orders = [
  ["the kernel is done first", kernelFirst],
  ["the order is left to chance", () => ({ [Symbol.dispose]: () => {} })],
] as const;

describe.each(modes)("taken away from a container in %s", rigOnly("removes devices from their buses"), (mode) => {
  let bindings: Binding[];
  let before: ReturnType<typeof resources>;
  let container: Container;
  let failures: unknown[];

  /** Closes something when the kernel wants the device back, as a program does. */
  function closeOnRequest(device: Device, what: Disposable = device): Device {
    device.req.enable().on("interrupt", () => {
      try {
        what[Symbol.dispose]();
      } catch (error) {
        failures.push(error);
      }
    });
    return device;
  }

  /** Gives a device back to vfio-pci, wherever it is. */
  function bringBack(address: string): void {
    if (!existsSync(`/sys/bus/pci/devices/${address}`)) writeFileSync("/sys/bus/pci/rescan", "1");
    bindings.push(bindDriver(address));
  }

  function attach(address: string): Device {
    return closeOnRequest(container.attach(address));
  }

  beforeAll(() => {
    bindings = [edu, igb, pair0, pair1].map((address) => bindDriver(address));
  });

  afterAll(() => {
    for (const binding of bindings.reverse()) binding.restore();
  });

  beforeEach(() => {
    before = resources();
    failures = [];
    container = openContainer({ mode });
  });

  afterEach(() => {
    container.close();
    expect(failures).toEqual([]);
    expect(resources()).toEqual(before);
  });

  /** Nothing is mapped, the memory is free, and all can begin again. */
  function usableAgain(address: string, buffer: DmaBuffer): void {
    expect([container.devices.size, container.mappingCount, [...container.mappings]]).toEqual([0, 0, []]);
    bringBack(address);
    container.attach(address);
    container.map(buffer, { iova: IOVA }).unmap();
    buffer.close();
  }

  describe.each(ways)("%s", (_way, take) => {
    it.each(orders)("the last device: mappings have ended, and it can come back (%s)", async (_order, order) => {
      attach(edu);
      const buffer = DmaBuffer.allocate(4 * PAGE);
      const mapping = container.map(buffer, { iova: IOVA });
      {
        using _held = order(edu);
        await take(edu);
      }
      expect([failures, mapping.mapped]).toEqual([[], false]);
      usableAgain(edu, buffer);
    });

    it("while its container is closed with it", async () => {
      closeOnRequest(container.attach(edu), container);
      const buffer = DmaBuffer.allocate(PAGE);
      const mapping = container.map(buffer);
      {
        using _held = kernelFirst(edu);
        await take(edu);
      }
      expect([failures, mapping.mapped, container.closed]).toEqual([[], false, true]);
      buffer.close();
      bringBack(edu);
    });

    it("with an address space mirrored", async () => {
      attach(edu);
      const buffer = DmaBuffer.allocate(2 * PAGE);
      const space = new AddressSpace<MemoryPart>();
      space.add({ iova: IOVA, length: PAGE, memory: { memory: buffer, offset: PAGE } });
      container.mirror(space);
      {
        using _held = kernelFirst(edu);
        await take(edu);
      }
      expect(failures).toEqual([]);
      usableAgain(edu, buffer);
    });

    it("one of two groups: the other one keeps the mappings", needs("igb"), async () => {
      attach(edu);
      attach(igb);
      const buffer = DmaBuffer.allocate(PAGE);
      const mapping = container.map(buffer, { iova: IOVA });
      {
        using _held = kernelFirst(edu);
        await take(edu);
      }
      expect([failures, [...container.devices.keys()], mapping.mapped]).toEqual([[], [igb], true]);
      bringBack(edu);
      attach(edu);
      // The kernel has kept it too.
      expect(container.unmapAll().bytes).toBe(BigInt(PAGE));
      buffer.close();
    });
  });

  it("both of two groups at once", needs("igb"), async () => {
    attach(edu);
    attach(igb);
    const buffer = DmaBuffer.allocate(PAGE);
    const mapping = container.map(buffer, { iova: IOVA });
    await Promise.all([unbind(edu), unbind(igb)]);
    expect([failures, mapping.mapped]).toEqual([[], false]);
    bringBack(igb);
    usableAgain(edu, buffer);
  });

  it("both devices of one group, one after the other", needs("pair"), async () => {
    expect(readIommuGroup(pair0).devices).toHaveLength(2);
    attach(pair0);
    attach(pair1);
    const buffer = DmaBuffer.allocate(PAGE);
    const mapping = container.map(buffer, { iova: IOVA });
    await unbind(pair0);
    expect([failures, mapping.mapped]).toEqual([[], true]);
    {
      using _held = kernelFirst(pair1);
      await unbind(pair1);
    }
    expect([failures, mapping.mapped]).toEqual([[], false]);
    bringBack(pair1);
    usableAgain(pair0, buffer);
  });
});
