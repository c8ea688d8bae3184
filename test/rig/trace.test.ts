/** What is told of real devices and real mappings. */
import { DmaBuffer, formatCall, openContainer, type TracedCall, traceCalls } from "vfio";
import { describe, expect, test } from "vitest";
import { bind, devices } from "./devices.js";
import { modes } from "./modes.js";

const { edu } = devices;

/** What is told while an action runs, as lines without the times. */
function told(action: () => unknown): { readonly calls: readonly TracedCall[]; readonly lines: readonly string[] } {
  const calls: TracedCall[] = [];
  {
    using _tracing = traceCalls((call) => calls.push(call));
    action();
  }
  return { calls, lines: calls.map((call) => formatCall(call).replace(/ <\d.*>$/, "")) };
}

const hex = (value: number | bigint) => `0x${value.toString(16)}`;

describe.each(modes)("%s", (mode) => {
  test("a map and an unmap: what the kernel was asked, and what it answered", () => {
    using _bound = bind(edu);
    using container = openContainer({ mode });
    container.attach(edu);
    using memory = DmaBuffer.allocate(8192);
    let iova = 0n;
    const { calls, lines } = told(() => {
      const mapping = container.map(memory);
      iova = mapping.iova;
      mapping.unmap();
    });
    const length = "0x2000";
    const expected =
      mode === "iommufd"
        ? [
            `IOMMU_IOAS_MAP_FILE, {flags=.*WRITEABLE\\|READABLE, ioas_id=\\d+, fd=\\d+<memfd:vfio-dma>, start=0x0, iova=${hex(iova)}, length=${length}}\\) = ${hex(iova)}$`,
            `IOMMU_IOAS_UNMAP, {ioas_id=\\d+, iova=${hex(iova)}, length=${length}}\\) = ${length}$`,
          ]
        : [
            `VFIO_IOMMU_MAP_DMA, {flags=READ\\|WRITE, vaddr=${hex(memory.address)}, iova=${hex(iova)}, size=${length}}\\) = 0$`,
            `VFIO_IOMMU_UNMAP_DMA, {flags=0, iova=${hex(iova)}, size=${length}}\\) = ${length}$`,
          ];
    const node = mode.startsWith("type1") ? "/dev/vfio/vfio" : "/dev/iommu";
    expect(lines).toEqual(expected.map((line) => expect.stringMatching(new RegExp(`^ioctl\\(\\d+<${node}>, ${line}`))));
    for (const { duration, error } of calls) {
      expect(duration).toBeGreaterThan(0);
      expect(error).toBeUndefined();
    }
  });

  test("many maps at once: each of them", () => {
    using _bound = bind(edu);
    using container = openContainer({ mode });
    container.attach(edu);
    using memory = DmaBuffer.allocate(4 * 4096);
    const parts = [0, 1, 2, 3].map((page) => ({ memory, offset: page * 4096, length: 4096 }));
    const { calls } = told(() => container.mapMany(parts));
    container.unmapAll();
    const maps = calls.filter(({ request }) => /_MAP(_DMA|_FILE)?$/.test(request ?? ""));
    expect(maps.map(({ args }) => args.find(({ name }) => name === "iova")?.value)).toHaveLength(4);
    expect(new Set(maps.map(({ args }) => args.find(({ name }) => name === "iova")?.text)).size).toBe(4);
    for (const { batch, error } of maps) expect({ batch, error }).toEqual({ batch: 4, error: undefined });
  });
});

test("a device's way in and out: what its descriptors are, and its interrupts' eventfds", () => {
  using _bound = bind(edu);
  const { lines } = told(() => {
    using container = openContainer({ mode: "type1v2" });
    using device = container.attach(edu);
    device.msi.enable(1);
  });
  const text = lines.join("\n");
  expect(text).toMatch(/open\("\/dev\/vfio\/vfio", flags=O_RDWR.*\) = \d+<\/dev\/vfio\/vfio>/);
  expect(text).toMatch(/ioctl\(\d+<\/dev\/vfio\/\d+>, VFIO_GROUP_GET_STATUS\) = VIABLE/);
  expect(text).toMatch(/VFIO_SET_IOMMU, type=TYPE1v2_IOMMU\) = 0/);
  expect(text).toMatch(new RegExp(`VFIO_GROUP_GET_DEVICE_FD, name="${edu}"\\) = \\d+<vfio-device>`));
  expect(text).toMatch(
    /VFIO_DEVICE_SET_IRQS, {flags=DATA_EVENTFD\|ACTION_TRIGGER, index=MSI, start=0, count=1, data=\[\d+<eventfd>\]}\) = 0/,
  );
  expect(text).toMatch(/VFIO_DEVICE_GET_IRQ_INFO, {index=MSI}\) = {argsz=16, flags=EVENTFD\|NORESIZE, count=1}/);
});
