import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { gzipSync } from "node:zlib";
import { expect, test } from "vitest";
import { PciNames } from "../../../lib/pci/index.js";

const list = `# PCI
1234  Technical Corp.
\t11e8  A device
\t\t1af4 1100  Not a device
ffff  Illegal Vendor ID
C 01  Mass storage controller
\t08  Non-Volatile memory controller (of the list)
\t\t02  NVM Express
C 02  Network controller
\tzz  broken
`;

test("names of the list", () => {
  const names = new PciNames(list);
  expect(names.vendor(0x1234)).toBe("Technical Corp.");
  expect(names.device(0x1234, 0x11e8)).toBe("A device");
  expect(names.device(0x1234, 0x1af4)).toBeUndefined();
  expect(names.device(0xffff, 0x11e8)).toBeUndefined();
  expect(names.class(0x010802)).toBe("Non-Volatile memory controller (of the list)");
});

test("without a list, classes have names all the same", () => {
  const names = new PciNames("");
  expect(names.vendor(0x8086)).toBeUndefined();
  expect(names.class(0x020000)).toBe("Ethernet controller");
  expect(names.class(0x02ff00)).toBe("Network controller");
  expect(names.class(0x990000)).toBe("Unknown class");
});

test("a compressed list", () => {
  const directory = mkdtempSync(join(tmpdir(), "vfio-ids-"));
  try {
    const path = join(directory, "pci.ids.gz");
    writeFileSync(path, gzipSync(list));
    expect(PciNames.read(path).vendor(0x1234)).toBe("Technical Corp.");
    expect(() => PciNames.read(join(directory, "none"))).toThrow(/ENOENT/);
  } finally {
    rmSync(directory, { recursive: true });
  }
});
