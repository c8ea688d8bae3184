/** The rig's tests of the edu device, over a socket, against the device that is written in TypeScript. */
import path from "node:path";
import { UserContainer } from "vfio/user";
import { afterAll, beforeAll, describe } from "vitest";
import { eduTests } from "../../rig/edu-tests.js";
import { type EduProcess, socketDirectory, startEdu } from "./edu-process.js";

const directory = socketDirectory();
const socket = path.join(directory.path, "edu.sock");
let server: EduProcess;
beforeAll(async () => {
  server = await startEdu(socket);
});
afterAll(async () => {
  await server[Symbol.asyncDispose]();
  directory[Symbol.dispose]();
});

describe.each([
  ["memory by descriptors, posted writes", { postedWrites: true }, "memfd"],
  ["memory by messages, answered writes", { postedWrites: false }, "anonymous"],
] as const)("edu over vfio-user: %s", (_, options, backing) => {
  eduTests(() => UserContainer.open({ socket, ...options }), "edu", { backing });
});
