/** A device that has one of everything, and a server for it. */
import { mkdtempSync, readdirSync, rmSync } from "node:fs";
import { constants, tmpdir } from "node:os";
import { join } from "node:path";
import { native } from "../../../lib/kernel/native.js";
import { PciDevice, type PciDeviceOptions } from "../../../lib/vfio-user/device/pci-device.js";
import type { Capabilities } from "../../../lib/vfio-user/protocol/version.js";
import { type ServerOptions, VfioUserServer } from "../../../lib/vfio-user/server/server.js";
import { RawClient } from "./raw-client.js";

export const { EBUSY, EEXIST, EFAULT, EINVAL, EIO, ENOENT, ENOSPC, ENOTSUP, EPERM, EPROTO, ETIMEDOUT } =
  constants.errno;

export const options = {
  name: "everything",
  vendorId: 0x1234,
  deviceId: 0x5678,
  classCode: 0xff0000,
  bars: [
    { size: 4096, read: (offset: number) => offset },
    undefined,
    { size: 16384, memory: { areas: [{ offset: 4096, length: 8192 }] } },
    { size: 4096, memory: true },
  ],
  rom: Uint8Array.of(0x55, 0xaa),
  interrupts: { intx: true, msi: 4, msix: 8 },
} satisfies PciDeviceOptions;

export function openFds(): number {
  return readdirSync("/proc/self/fd").length;
}

export interface Fixture extends AsyncDisposable {
  readonly device: PciDevice;
  readonly server: VfioUserServer;
  readonly path: string;
  /** What the server told of, in order: connections that ended, with their reasons, and faults. */
  readonly told: unknown[];
  open(capabilities?: Capabilities): Promise<RawClient>;
}

export function serve(
  overrides: Partial<PciDeviceOptions> = {},
  serverOptions: ServerOptions = {},
  device = new PciDevice({ ...options, ...overrides }),
): Fixture {
  const directory = mkdtempSync(join(tmpdir(), "vfio-user-"));
  const path = join(directory, "socket");
  const server = VfioUserServer.listen(device, path, serverOptions);
  const told: unknown[] = [];
  server.on("disconnect", (error) => told.push(error));
  server.on("fault", (error) => told.push(error));
  return {
    device,
    server,
    path,
    told,
    open: (capabilities) => RawClient.open(path, capabilities),
    async [Symbol.asyncDispose]() {
      server.close();
      await server.idle();
      device.close();
      rmSync(directory, { recursive: true });
    },
  };
}

/** Makes a payload of little-endian 32-bit words; a bigint is two of them. */
export function words(...values: readonly (number | bigint)[]): Uint8Array {
  const bytes: number[] = [];
  for (const value of values) {
    const wide = typeof value === "bigint";
    const view = new DataView(new ArrayBuffer(8));
    view.setBigUint64(0, BigInt.asUintN(64, BigInt(value)), true);
    for (let i = 0; i < (wide ? 8 : 4); i++) bytes.push(view.getUint8(i));
  }
  return Uint8Array.from(bytes);
}

/** Descriptors that are closed at the end of a scope. */
export class Fds implements Disposable {
  readonly #all: number[] = [];

  eventfd(): number {
    return this.#keep(native.eventfd());
  }

  /** A memfd, sealed against shrinking if asked for. */
  memfd(length: number, { sealed = false } = {}): number {
    const fd = this.#keep(native.memfdCreate("test", 2));
    native.ftruncate(fd, length);
    if (sealed) native.addSeals(fd, 2);
    return fd;
  }

  file(path: string, flags: number): number {
    return this.#keep(native.open(path, flags));
  }

  #keep(fd: number): number {
    if (fd < 0) throw new Error(`no descriptor: ${fd}`);
    this.#all.push(fd);
    return fd;
  }

  [Symbol.dispose](): void {
    for (const fd of this.#all) native.close(fd);
  }
}
