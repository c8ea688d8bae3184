import { describe, expect, it } from "vitest";
import { VfioError } from "../../../lib/base/errors.js";
import { growingInfo, withEnoughRoom } from "../../../lib/kernel/enough-room.js";
import type { RawInfo } from "../../../lib/kernel/native.js";

describe("an info call", () => {
  const about = { syscall: "ioctl", request: "VFIO_DEVICE_GET_INFO", object: "0000:01:00.0" };
  const info = (argsz: number): RawInfo => ({ argsz, flags: 0, bytes: new Uint8Array(argsz) });

  it("is made again with the room that the answer needs", () => {
    const asked: number[] = [];
    const answer = growingInfo(
      24,
      (argsz) => {
        asked.push(argsz);
        return info(Math.max(argsz, 40));
      },
      about,
    );
    expect(asked).toEqual([24, 40]);
    expect(answer).toMatchObject({ argsz: 40 });
  });

  it("gives up when no room is enough", () => {
    let calls = 0;
    const endless = (argsz: number) => {
      calls++;
      return info(argsz + 8);
    };
    expect(() => growingInfo(24, endless, about)).toThrow(/EIO.*VFIO_DEVICE_GET_INFO.*0000:01:00.0/);
    expect(calls).toBe(8);
  });

  it("hands on the kernel's refusal", () => {
    expect(growingInfo(24, () => -22, about)).toBe(-22);
  });
});

describe("a list", () => {
  const refuse = (room: number) => new VfioError({ errno: 28, syscall: "ioctl", args: { room } });

  it("is asked for again, also with the same room", () => {
    const asked: number[] = [];
    const answer = withEnoughRoom(
      0,
      (room) => {
        asked.push(room);
        return asked.length < 3 ? { room: 5 } : { answer: room };
      },
      refuse,
    );
    expect(asked).toEqual([0, 5, 5]);
    expect(answer).toBe(5);
  });

  it("that always grows is refused with the last room", () => {
    expect(() => withEnoughRoom(0, (room) => ({ room: room + 1 }), refuse)).toThrow(/ENOSPC.*room.*8/);
  });

  it("that cannot be had is the caller's error", () => {
    const unplugged = () => {
      throw new Error("unplugged");
    };
    expect(() => withEnoughRoom(0, unplugged, refuse)).toThrow("unplugged");
  });
});
