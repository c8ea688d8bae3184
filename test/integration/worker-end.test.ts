/** A worker that ends with something open, in a process whose main thread has not imported the package. */
import path from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { endedWell, endings, runInWorkersOnly } from "../workers-only.js";
import { type EduProcess, socketDirectory, startEdu } from "./vfio-user-client/edu-process.js";

const directory = socketDirectory();
const socket = path.join(directory.path, "edu.sock");
let edu: EduProcess;

beforeAll(async () => {
  edu = await startEdu(socket);
});

afterAll(async () => {
  await edu[Symbol.asyncDispose]();
  directory[Symbol.dispose]();
});

// A server keeps its worker alive.
test.each(
  endings.filter((ending) => ending !== "nothing left to do"),
)("a server listens, ended by %s", async (ending) => {
  const path = JSON.stringify(`${directory.path}/listening-`);
  const ended = await runInWorkersOnly(
    `const device = new user.PciDevice({ vendorId: 1, deviceId: 2, classCode: 0xff0000 });
     open.push(user.VfioUserServer.listen(device, ${path} + require("node:worker_threads").threadId));`,
    ending,
  );
  expect(ended).toEqual(endedWell(ending));
});

test.each(endings)("a client listens to an interrupt, ended by %s", async (ending) => {
  const ended = await runInWorkersOnly(
    `const container = user.UserContainer.open({ socket: ${JSON.stringify(socket)} });
     const device = container.attach();
     container.map(vfio.DmaBuffer.allocate(1 << 20));
     const [vector] = device.msi.enable(1);
     vector.on("interrupt", () => {}).unref();
     vector.trigger();
     open.push(container);`,
    ending,
  );
  expect(ended).toEqual(endedWell(ending));
});
