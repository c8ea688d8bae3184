/** What a traced call says. The calls are real ones: on memory, eventfds and sockets, and on descriptors that refuse them. */
import { subscribe, unsubscribe } from "node:diagnostics_channel";
import { createRequire } from "node:module";
import { fileURLToPath } from "node:url";
import { CALL_CHANNEL, DmaBuffer, formatCall, OwnedFd, type TracedCall, traceCalls } from "vfio";
import { describe, expect, test, vi } from "vitest";
import { nativeCalls } from "../../../lib/kernel/calls.js";
import { native } from "../../../lib/kernel/native.js";
import * as uapi from "../../../lib/kernel/uapi.js";

/** What is told while an action runs. */
async function told(action: () => unknown, options = {}): Promise<readonly TracedCall[]> {
  const calls: TracedCall[] = [];
  {
    using _tracing = traceCalls((call) => calls.push(call), options);
    await action();
  }
  return calls;
}

/** The same as lines, without the times. */
async function lines(action: () => unknown, options = {}): Promise<readonly string[]> {
  return (await told(action, options)).map((call) => formatCall(call).replace(/ <.*>$/, ""));
}

/** A descriptor that no ioctl of ours fits: the kernel answers ENOTTY, after which the arguments have been told. */
const makeEventfd = () => new OwnedFd(native.eventfd(), "eventfd");

const refused = "-1 ENOTTY (inappropriate ioctl for device)";

describe("while nobody listens", () => {
  const addon: object = createRequire(import.meta.url)(
    fileURLToPath(new URL("../../../build/Release/vfio.node", import.meta.url)),
  );

  test("every function is the addon's own: before, and again afterwards", async () => {
    const same = () => Object.entries(addon).filter(([name, own]) => Reflect.get(native, name) !== own);
    expect(same()).toEqual([]);
    await told(() => expect(same().map(([name]) => name)).toContain("iommufdIoasMap"));
    expect(same()).toEqual([]);
    await told(() => expect(same().map(([name]) => name)).toContain("mmioRead32"), { registers: true });
    expect(same()).toEqual([]);
  });

  test("registers stay bare where only calls are listened to", async () => {
    const before = native.mmioRead32;
    await told(() => expect(native.mmioRead32).toBe(before));
  });

  test("one of two listeners goes: the other one hears on", async () => {
    const calls = await told(async () => {
      expect(await told(() => native.memfdCreate("", -1 >>> 0))).toHaveLength(1);
      native.memfdCreate("", -1 >>> 0);
    });
    expect(calls).toHaveLength(2);
  });

  test("two copies of the package in one process: each call is told once, and both are bare again afterwards", async () => {
    vi.resetModules();
    const { native: other } = await import("../../../lib/kernel/native.js");
    expect(other).not.toBe(native);
    const before = [native.dup, other.dup];
    const calls = await told(() => [native.dup(-1), other.dup(-1)]);
    expect(calls).toMatchObject([{ error: "EBADF" }, { error: "EBADF" }]);
    expect([native.dup, other.dup]).toEqual(before);
  });

  test("the table has every function of the addon", () => {
    expect(Object.keys(nativeCalls).sort()).toEqual(Object.keys(addon).sort());
  });
});

describe("a line says", () => {
  test("what a map asks for: flags by name, addresses in hexadecimal, descriptors with what they are", async () => {
    const file = native.memfdCreate("dma", 0);
    const { IOMMU_IOAS_MAP_READABLE: readable, IOMMU_IOAS_MAP_WRITEABLE: writeable } = uapi;
    using eventfd = makeEventfd();
    const fd = eventfd.number;
    expect(
      await lines(() => native.iommufdIoasMapFile(fd, readable | writeable, 3, file, 0x2000, 1n << 40n, 4096)),
    ).toEqual([
      `ioctl(${fd}<eventfd>, IOMMU_IOAS_MAP_FILE, {flags=WRITEABLE|READABLE, ioas_id=3, fd=${file}<memfd:dma>, ` +
        `start=0x2000, iova=0x10000000000, length=0x1000}) = ${refused}`,
    ]);
    native.close(file);
  });

  test.each<readonly [string, (fd: number) => unknown, string]>([
    [
      "legacy map",
      (fd) => native.vfioIommuMapDma(fd, uapi.VFIO_DMA_MAP_FLAG_READ | 0x40, 0x1000, 0n, 0x2000),
      "VFIO_IOMMU_MAP_DMA, {flags=READ|0x40, vaddr=0x1000, iova=0x0, size=0x2000}",
    ],
    ["an ioctl without a structure", (fd) => native.vfioSetIommu(fd, 3), "VFIO_SET_IOMMU, type=TYPE1v2_IOMMU"],
    ["one without arguments", (fd) => native.iommufdIoasAlloc(fd), "IOMMU_IOAS_ALLOC"],
    [
      "interrupts with their eventfds",
      (fd) =>
        native.vfioDeviceSetIrqs(
          fd,
          uapi.VFIO_IRQ_SET_DATA_EVENTFD | uapi.VFIO_IRQ_SET_ACTION_TRIGGER,
          uapi.VFIO_PCI_MSIX_IRQ_INDEX,
          0,
          2,
          Int32Array.of(fd, -1),
        ),
      "VFIO_DEVICE_SET_IRQS, {flags=DATA_EVENTFD|ACTION_TRIGGER, index=MSIX, start=0, count=2, data=[#, -1]}",
    ],
    [
      "a feature; its bytes, which may be a secret, are counted",
      (fd) => native.vfioDeviceFeature(fd, uapi.VFIO_DEVICE_FEATURE_SET, new Uint8Array(16).fill(7)),
      "VFIO_DEVICE_FEATURE, {flags=SET|PCI_VF_TOKEN, data=16 bytes}",
    ],
    ["the index of a BAR", (fd) => native.vfioDeviceGetRegionInfo(fd, 2, 32), "{index=BAR2, argsz=32}"],
    [
      "KVM's irqfd",
      (fd) => native.kvmIrqfd(fd, fd, 24, uapi.KVM_IRQFD_FLAG_RESAMPLE, -1),
      "KVM_IRQFD, {fd=#, gsi=24, flags=RESAMPLE, resamplefd=-1}",
    ],
    ["an ioctl that has no name", (fd) => native.ioctl(fd, 0x3b80), "0x3b80, cmd=0x3b80, bytes=none"],
  ])("%s", async (_, ask, expected) => {
    using eventfd = makeEventfd();
    const fd = eventfd.number;
    const [line = ""] = await lines(() => ask(fd));
    expect(line.startsWith(`ioctl(${fd}<eventfd>, `)).toBe(true);
    expect(line).toContain(expected.replaceAll("#", `${fd}<eventfd>`));
    expect(line.endsWith(`) = ${refused}`)).toBe(true);
  });

  test("what a descriptor was that is closed by the call", async () => {
    const fd = native.eventfd();
    expect(await lines(() => native.close(fd))).toEqual([`close(${fd}<eventfd>) = 0`]);
    expect(await lines(() => native.close(fd))).toEqual([`close(${fd}) = -1 EBADF (bad file descriptor)`]);
  });

  test("memory's way from a file to its end", async () => {
    const all = await lines(() => DmaBuffer.allocate(8192).close());
    expect(all.join("\n")).toMatch(
      /memfd_create\(.*\) = (\d+)<memfd:.*>\n(.*\n)*mmap\(length=0x2000, prot=PROT_READ\|PROT_WRITE, flags=MAP_SHARED.*fd=\1<memfd.*\) = (0x[0-9a-f]+)\n(.*\n)*munmap\(\3\) = 0/,
    );
  });

  test("descriptors that came with a message", async () => {
    const sockets = new Int32Array(2);
    native.socketpair(5, true, sockets);
    const [ours = -1, theirs = -1] = sockets;
    const out = new Int32Array(4);
    const all = await lines(() => {
      native.sendmsg(ours, new Uint8Array(3), 0, 3, Int32Array.of(ours), 0);
      native.recvmsg(theirs, new Uint8Array(8), 0, 8, out, 0);
    });
    const [, , came = -1] = out;
    expect(all[0]).toMatch(new RegExp(`^sendmsg\\(${ours}<socket:.*length=3, fds=\\[${ours}<socket:.*\\) = 3$`));
    expect(all[1]).toMatch(new RegExp(`^recvmsg\\(${theirs}<socket:.*fds=\\[${came}<socket:.*\\) = 3$`));
    for (const fd of [ours, theirs, came]) native.close(fd);
  });

  test("each access to a mapped register, where they are asked for", async () => {
    const fd = native.memfdCreate("registers", 0);
    native.ftruncate(fd, 4096);
    const mapping = native.mmap(4096, 3, 1, fd, 0, 0);
    if (typeof mapping === "number") throw new Error(`mmap: ${mapping}`);
    const address = `0x${native.mappingAddress(mapping).toString(16)}`;
    const access = () => {
      native.mmioWrite32(mapping, 0x10, 0xabcd);
      return native.mmioRead32(mapping, 0x10);
    };
    expect(await lines(access, { registers: true })).toEqual([
      `write32(${address}, offset=0x10, value=0xabcd)`,
      `read32(${address}, offset=0x10) = 0xabcd`,
    ]);
    expect(await lines(access)).toEqual([]);
    native.munmap(mapping);
    native.close(fd);
  });
});

describe("a batch is told call by call", () => {
  test("up to the one that is refused", async () => {
    const batch = BigUint64Array.of(0n, 3n, 0x1000n, 0x10n, 0x20n, 1n, 0x2000n, 0x30n, 0x40n);
    using eventfd = makeEventfd();
    const fd = eventfd.number;
    const calls = await told(() => native.vfioIommuMapDmaBatch(fd, batch, 2));
    expect(calls.map((call) => formatCall(call))).toEqual([
      expect.stringMatching(
        new RegExp(
          `^ioctl\\(${fd}<eventfd>, VFIO_IOMMU_MAP_DMA, {flags=READ\\|WRITE, vaddr=0x1000, iova=0x10, size=0x20}\\) ` +
            "= -1 ENOTTY .* <\\d\\.\\d{6} in a batch of 2>$",
        ),
      ),
    ]);
    expect(calls).toMatchObject([{ error: "ENOTTY", batch: 2, result: undefined }]);
  });

  test("files and memory in one", async () => {
    const file = native.eventfd();
    const batch = BigUint64Array.of(0n, (BigInt(file + 1) << 32n) | 7n, 0n, 0x10n, 0x20n);
    using eventfd = makeEventfd();
    const fd = eventfd.number;
    expect(await lines(() => native.iommufdIoasMapBatch(fd, 1, batch, 1))).toEqual([
      expect.stringContaining(
        `IOMMU_IOAS_MAP_FILE, {flags=FIXED_IOVA|WRITEABLE|READABLE, ioas_id=1, fd=${file}<eventfd>, start=0x0, iova=0x10`,
      ),
    ]);
    native.close(file);
  });
});

test("a call on another thread is told when its result is here", async () => {
  using eventfd = makeEventfd();
  const fd = eventfd.number;
  const calls = await told(async () => {
    const pending = native.iommufdIoasMapFixedAsync(fd, uapi.IOMMU_IOAS_MAP_READABLE, 1, 0, 0, 4096);
    expect(await pending).toBeLessThan(0);
  });
  expect(calls).toMatchObject([{ syscall: "ioctl", request: "IOMMU_IOAS_MAP", error: "ENOTTY" }]);
  expect(calls[0]?.args[1]).toEqual({ name: "flags", value: 4, text: "FIXED_IOVA|READABLE" });
});

test("an exec is told before it is made, and again if it was refused", async () => {
  expect(await lines(() => native.execve("/no/such/program", ["a", "b"], []))).toEqual([
    'execve("/no/such/program", argv=2 strings, envp=0 strings) = ?',
    'execve("/no/such/program", argv=2 strings, envp=0 strings) = -1 ENOENT (no such file or directory)',
  ]);
});

test("what a listener calls itself is not told", async () => {
  let heard = 0;
  {
    using _tracing = traceCalls(() => {
      heard++;
      makeEventfd().close();
    });
    makeEventfd().close();
  }
  expect(heard).toBe(2);
});

test("the channel by its name, as diagnostics tools use it", () => {
  const messages: unknown[] = [];
  const hear = (message: unknown) => messages.push(message);
  subscribe(CALL_CHANNEL, hear);
  makeEventfd().close();
  unsubscribe(CALL_CHANNEL, hear);
  makeEventfd().close();
  expect(messages).toMatchObject([
    { syscall: "eventfd2" },
    { syscall: "close", result: 0, error: undefined, batch: 1 },
  ]);
});

test("arguments of the wrong type are refused as ever, and not told", async () => {
  const calls = await told(() => {
    expect(() => Reflect.apply(native.close, native, ["x"])).toThrow(TypeError);
  });
  expect(calls).toEqual([]);
});
