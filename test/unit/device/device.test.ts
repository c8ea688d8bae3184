import { describe, expect, it } from "vitest";
import type { Attachment } from "../../../lib/device/attachment.js";
import { Device } from "../../../lib/device/device.js";
import { KernelPort } from "../../../lib/device/port.js";
import { vfTokenBytes } from "../../../lib/device/vf-token.js";
import { openNode } from "../../../lib/kernel/open-node.js";

describe("a device made from something else", () => {
  it("is refused, and the descriptor is still the caller's", () => {
    const closed: string[] = [];
    const fd = openNode("/dev/null");
    const attachment: Attachment = {
      address: "0000:01:00.0",
      port: new KernelPort(fd),
      door: "cdev",
      iommufdId: 1,
      pageTableId: 1,
      group: undefined,
      groupFds: () => new Map(),
      beforeClose: () => closed.push("before"),
      afterClose: () => closed.push("after"),
    };
    expect(() => new Device(attachment)).toThrow(/ENOTTY.*VFIO_DEVICE_GET_INFO on 0000:01:00.0/);
    expect(closed).toEqual([]);
    expect(fd.closed).toBe(false);
    fd.close();
  });
});

describe("a VF token", () => {
  it("is the bytes of a UUID in the order in which it is written", () => {
    expect([...vfTokenBytes("00112233-4455-6677-8899-aAbBcCdDeEfF")]).toEqual([
      0x00, 0x11, 0x22, 0x33, 0x44, 0x55, 0x66, 0x77, 0x88, 0x99, 0xaa, 0xbb, 0xcc, 0xdd, 0xee, 0xff,
    ]);
    for (const bad of ["", "00112233445566778899aabbccddeeff", "00112233-4455-6677-8899-aabbccddeef", "g".repeat(36)]) {
      expect(() => vfTokenBytes(bad)).toThrow(expect.objectContaining({ code: "ERR_INVALID_ARG_VALUE" }));
    }
  });
});
