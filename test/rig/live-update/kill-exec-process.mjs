// A process that replaces itself: kill-exec.test.ts kills it while it does. It says a word a line: "ready" when the device works,
// "over" when the new program has it.
import { once } from "node:events";
import { fileURLToPath } from "node:url";
import { DmaBuffer, openContainer } from "../../../dist/index.js";
import { execInPlace, incomingExec, LiveUpdate, receiveLiveUpdate } from "../../../dist/live-update/index.js";

const [mode, address] = process.argv.slice(2);

async function first() {
  const container = openContainer({ mode: /** @type {"type1v2" | "iommufd"} */ (mode) });
  const device = container.attach(address ?? "");
  device.busMaster = true;
  device.msi.enable(1);
  const memory = DmaBuffer.allocate(1 << 20, { name: "blocks" });
  container.map(memory, { mask: 0xfff_ffff });
  console.log("ready");
  await once(process.stdin, "data");
  const args = [fileURLToPath(import.meta.url), ...process.argv.slice(2)];
  await new LiveUpdate({ containers: { main: container }, memory: { blocks: memory } }).handOver(execInPlace({ args }));
}

/** @param {import("../../../lib/live-update/index.js").IncomingCarrier} carrier */
async function next(carrier) {
  const incoming = await receiveLiveUpdate(carrier);
  await incoming.takeOver();
  console.log("over");
  process.stdin.resume();
  await once(process.stdin, "end");
}

const carrier = incomingExec();
await (carrier === undefined ? first() : next(carrier));
