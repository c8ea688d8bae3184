// Unmaps everything, in every way that there is, and says which requests that took. old-kernel.test.ts starts it where the kernel has
// no VFIO_UNMAP_ALL, and reads what it prints.
//
// usage: node old-kernel.mjs <mode> <address of a device> <IOVA>
import { DmaBuffer, openContainer, readKernelFeatures, traceCalls } from "../../dist/index.js";

const [mode = "", address = "", first = ""] = process.argv.slice(2);
const PAGE = 4096;
const iova = BigInt(first);

/** @param {import("../../lib/container/container.js").LegacyMode} mode */
function open(mode) {
  const container = openContainer({ mode });
  container.attach(address);
  return container;
}

/** Three mappings with a hole between two of them, each of one page. */
function map(container, buffer) {
  return [0, 1, 5].map((page) =>
    container.map(buffer, { iova: iova + BigInt(page * PAGE), offset: page * PAGE, length: PAGE }),
  );
}

const requests = new Set();
const tracing = traceCalls(({ request, args }) => {
  const flags = args.find(({ name }) => name === "flags");
  if (request === "VFIO_IOMMU_UNMAP_DMA") requests.add(flags?.text);
});

const buffer = DmaBuffer.allocate(8 * PAGE);
const container = open(mode);
const ended = [];

const all = map(container, buffer);
const { bytes, mappings } = container.unmapAll();
ended.push(
  all.every(({ mapped }) => !mapped),
  container.mappingCount === 0,
);

// At the same addresses, so the kernel has removed them too.
const device = container.devices.get(address);
const last = map(container, buffer);
device.close();
ended.push(
  last.every(({ mapped }) => !mapped),
  container.mappingCount === 0,
);

container.attach(address);
const closed = map(container, buffer);
container.close();
ended.push(closed.every(({ mapped }) => !mapped));
buffer.close();
tracing[Symbol.dispose]?.();

const { unmapAll } = readKernelFeatures();
console.log(
  JSON.stringify({ unmapAll, bytes: Number(bytes), mappings: mappings.length, ended, requests: [...requests] }),
);
