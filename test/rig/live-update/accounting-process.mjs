// One process of a hand-over, with limits of its own. It says what is locked and pinned here in lines of JSON, and goes on when
// it is told so by a line. accounting.test.ts starts it.
//
// arguments: role, container ("type1v2", "user" or "process": an iommufd in that accounting), device, bytes
// roles: "old" and "successor" meet at the sockets from descriptor 3 on, one for each attempt; "exec" is both
import { once } from "node:events";
import { createInterface } from "node:readline";
import {
  DmaBuffer,
  Iommufd,
  IommufdContainer,
  lockedMemory,
  OwnedFd,
  openContainer,
  VfioError,
} from "../../../dist/index.js";
import { native } from "../../../dist/kernel/native.js";
import {
  execInPlace,
  incomingExec,
  LiveUpdate,
  receiveLiveUpdate,
  socketFromOldProcess,
  socketToSuccessor,
} from "../../../dist/live-update/index.js";

const [role = "", kind = "", device = "", length = "0"] = process.argv.slice(2);
const lines = createInterface({ input: process.stdin });

/** @param {string} what @param {object} [more] */
function say(what, more = {}) {
  const { locked, pinned } = lockedMemory();
  console.log(JSON.stringify({ what, locked, pinned, ...more }));
}

/** @param {unknown} error */
function told(error) {
  if (!(error instanceof VfioError)) return { message: error instanceof Error ? error.message : String(error) };
  const { code, request, why, fix } = error;
  return { code, request, why, fix };
}

function open() {
  if (kind === "type1v2") return openContainer({ mode: "type1v2" });
  const iommufd = Iommufd.open();
  if (kind === "process") iommufd.accounting = "process";
  const { id } = iommufd.allocIoas();
  const fd = new OwnedFd(native.dup(iommufd.fd), "/dev/iommu");
  iommufd.close();
  return IommufdContainer.retrieve(fd, id);
}

function work() {
  const container = open();
  container.attach(device);
  const ring = DmaBuffer.allocate(Number(length), { name: "ring" });
  container.map(ring, { iova: 0x100_0000 });
  return { containers: { main: container }, memory: { ring } };
}

/** @param {import("../../../lib/live-update/carrier.js").IncomingCarrier} carrier */
async function takeOver(carrier) {
  const incoming = await receiveLiveUpdate(carrier);
  say("ready");
  try {
    await incoming.takeOver();
  } catch (error) {
    say("refused", told(error));
    return false;
  }
  say("taken over");
  const main = incoming.container("main");
  const ring = incoming.memory.get("ring");
  main.mappingAt(0x100_0000)?.unmap();
  say("unmapped");
  main.map(ring ?? DmaBuffer.allocate(4096), { iova: 0x100_0000 });
  say("mapped again");
  main.close();
  ring?.close();
  say("closed");
  return true;
}

const roles = {
  old: async () => {
    const plan = work();
    say("mapped");
    for (let fd = 3; ; fd++) {
      try {
        await new LiveUpdate(plan).handOver(await socketToSuccessor({ fd }, { allow: () => true }));
        say("handed over");
        return;
      } catch (error) {
        say("failed", told(error));
      }
      await once(lines, "line");
    }
  },
  successor: async () => {
    for (let fd = 3; ; fd++) {
      if (await takeOver(await socketFromOldProcess({ fd }, { allow: () => true }))) return;
      await once(lines, "line");
    }
  },
  exec: async () => {
    const carrier = incomingExec();
    if (carrier !== undefined) {
      await takeOver(carrier);
      return;
    }
    const plan = work();
    say("mapped");
    await new LiveUpdate(plan).handOver(execInPlace()).catch((error) => say("failed", told(error)));
  },
};

await roles[/** @type {keyof typeof roles} */ (role)]();
lines.close();
process.stdin.destroy();
