import { existsSync } from "node:fs";
import { expect, test } from "vitest";
import { kernelVersion, missingPackages, newestOf, parseRelease, suitesFor } from "../../../lib/rig/debian.js";

test("a release is read from os-release, quoted or not", () => {
  const text = 'PRETTY_NAME="Debian GNU/Linux 12 (bookworm)"\nID=debian\nVERSION_CODENAME=bookworm\n';
  expect(parseRelease(text)).toEqual({ id: "debian", codename: "bookworm", name: "Debian GNU/Linux 12 (bookworm)" });
  expect(parseRelease("ID='arch'\n")).toEqual({ id: "arch", codename: "", name: "arch" });
  expect(parseRelease("")).toEqual({ id: "linux", codename: "", name: "linux" });
});

test("only a release that lacks something looks beyond its own suites", () => {
  expect(suitesFor("bookworm")).toEqual({ kernel: ["trixie-backports"], qemu: ["bookworm-backports"] });
  expect(suitesFor("trixie")).toEqual({ kernel: ["trixie-backports"], qemu: [] });
  expect(suitesFor("forky")).toEqual({ kernel: [], qemu: [] });
});

test("the newest kernel source is the one with the greatest version, not the last in the alphabet", () => {
  const names = ["linux-source-6.9", "linux-source-6.12", "linux-source", "linux-source-7.3-rt", "linux-source-6.1"];
  expect(newestOf(names)).toBe("linux-source-6.12");
  expect(newestOf([])).toBeUndefined();
});

test("kernel versions order as numbers", () => {
  expect(kernelVersion("6.14")).toBeGreaterThan(kernelVersion("6.9.7-1"));
  expect(kernelVersion("7.3.4-1~bpo13+1")).toBeGreaterThan(kernelVersion("6.14"));
});

test.runIf(existsSync("/usr/bin/dpkg-query"))("packages that nobody has are missing", async () => {
  expect(await missingPackages(["dpkg", "no-such-package-at-all"])).toEqual(["no-such-package-at-all"]);
});
