/**
 * Before the rig's tests of edu run on an edu of ours: a server for it, and a rig with QEMU 11.1 whose vfio-user client
 * is connected to the server. To the guest's kernel it is a PCI device behind an IOMMU.
 *
 * @module
 */
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { TestProject } from "vitest/node";
import { eduDevice } from "../../lib/vfio-user/devices/edu.js";
import { VfioUserServer } from "../../lib/vfio-user/server/server.js";
import { findTools } from "./setup.js";

/** Free in the rig's machine. */
const slot = "0a";

export default async function setup(project: TestProject): Promise<(() => Promise<void>) | undefined> {
  const tools = await findTools();
  if (tools === undefined) return undefined;
  const directory = await mkdtemp(join(tmpdir(), "vfio-edu-"));
  const path = join(directory, "socket");
  const device = eduDevice();
  const server = VfioUserServer.listen(device, path);
  const failures: unknown[] = [];
  server.on("fault", (error) => failures.push(error));
  server.on("disconnect", (error) => {
    if (error !== undefined) failures.push(error);
  });
  project.provide("guest", {
    qemu: tools.qemu,
    devices: [JSON.stringify({ driver: "vfio-user-pci", socket: { type: "unix", path }, addr: slot })],
    // The tests take this device and no other.
    env: { VFIO_TEST_HOST: `0000:00:${slot}.0` },
  });
  return async () => {
    server.close();
    await server.idle();
    device.close();
    await rm(directory, { recursive: true });
    if (failures.length === 0) return;
    // vitest only prints what a teardown throws.
    process.exitCode = 1;
    throw new AggregateError(failures, "The server failed, or met what a client should not do");
  };
}
