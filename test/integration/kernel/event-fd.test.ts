/** EventFd, on eventfds of the kernel: counts, owners, and descriptors that are something else. */
import { closeSync, openSync, readdirSync } from "node:fs";
import { constants } from "node:os";
import { EventFd } from "vfio";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { eventFdId, isEventFd } from "../../../lib/kernel/event-fd.js";
import { native } from "../../../lib/kernel/native.js";
import { refusal } from "../../helpers/refusal.js";

let before: readonly string[];
beforeEach(() => {
  before = readdirSync("/proc/self/fd");
});
afterEach(() => {
  expect(readdirSync("/proc/self/fd")).toEqual(before);
});

describe("the count", () => {
  test("is taken as a whole, and is 0 then", () => {
    using eventfd = EventFd.make("test");
    expect(eventfd.take()).toBe(0);
    eventfd.signal();
    eventfd.signal(41);
    expect(eventfd.pending).toBe(true);
    expect(eventfd.take()).toBe(42);
    expect(eventfd.pending).toBe(false);
    expect(eventfd.take()).toBe(0);
  });

  test("that would be too large is refused, and stays", () => {
    using eventfd = EventFd.make("test");
    eventfd.signal(0xffff_ffff_ffff_fffen);
    expect(refusal(() => eventfd.signal())).toMatchObject({ code: "EAGAIN", syscall: "write", object: "test" });
    expect(eventfd.pending).toBe(true);
  });

  test("wakes a wait; without one the wait ends with its timeout", () => {
    using eventfd = EventFd.make("test");
    expect(eventfd.wait(0)).toBe(0);
    eventfd.signal(3);
    expect(eventfd.wait(0)).toBe(3);
  });

  test("of a duplicate is the same, and so is its id", () => {
    using eventfd = EventFd.make("test");
    using copy = eventfd.duplicate();
    expect(copy.number).not.toBe(eventfd.number);
    expect(copy.id).toBe(eventfd.id);
    expect(copy.id).toMatch(/^\d+$/);
    copy.signal(7);
    copy.close();
    expect(eventfd.take()).toBe(7);
  });
});

describe("an eventfd from elsewhere", () => {
  test("is adopted, and is closed with the object", () => {
    const fd = native.eventfd();
    EventFd.adopt(fd, "test").close();
    expect(() => closeSync(fd)).toThrow("EBADF");
  });

  test("is duplicated, and stays its owner's", () => {
    const fd = native.eventfd();
    EventFd.duplicateOf(fd, "test").close();
    closeSync(fd);
  });

  test("that is closed is refused", () => {
    const fd = native.eventfd();
    closeSync(fd);
    const closed = { code: "EBADF", reason: "bad-descriptor", why: "the eventfd is closed", object: "test" };
    expect(refusal(() => EventFd.adopt(fd, "test"))).toMatchObject(closed);
    expect(refusal(() => EventFd.duplicateOf(fd, "test"))).toMatchObject(closed);
  });

  test("that is another kind of file is refused, and stays its owner's", () => {
    const fd = openSync("/dev/null", "r");
    expect(refusal(() => EventFd.adopt(fd, "test"))).toMatchObject({
      errno: -constants.errno.EINVAL,
      reason: "bad-descriptor",
      why: "it is no eventfd",
    });
    expect([isEventFd(fd), eventFdId(fd)]).toEqual([false, undefined]);
    closeSync(fd);
  });
});
