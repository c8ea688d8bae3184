/** A sysfs, dev and proc in a temporary directory, as a container sees the host's trees that are mounted elsewhere. */
import { mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join, relative } from "node:path";
import type { NotePaths } from "../../../lib/pci/index.js";

export interface FakeDevice {
  readonly driver?: string;
  readonly group?: number;
  readonly attributes?: Readonly<Record<string, string>>;
}

export class Tree implements Disposable {
  readonly root = mkdtempSync(join(tmpdir(), "vfio-sysfs-"));
  readonly paths: Required<NotePaths> = {
    sysfs: join(this.root, "sys"),
    dev: join(this.root, "dev"),
    proc: join(this.root, "proc"),
    run: join(this.root, "run/vfio"),
  };

  constructor() {
    this.directory("sys/bus/pci/devices");
    this.directory("sys/kernel/iommu_groups");
    this.directory("dev/vfio/devices");
    this.file("proc/self/mountinfo", "");
    for (const driver of ["vfio-pci", "igb", "nvme", "pcieport"]) this.driver(driver);
  }

  at(path: string): string {
    return join(this.root, path);
  }

  directory(path: string): void {
    mkdirSync(this.at(path), { recursive: true });
  }

  file(path: string, text: string): void {
    mkdirSync(dirname(this.at(path)), { recursive: true });
    writeFileSync(this.at(path), text);
  }

  remove(path: string): void {
    rmSync(this.at(path), { recursive: true, force: true });
  }

  /** In place of a file: what no write can be done to, not even by root. */
  replaceByDirectory(path: string): void {
    this.remove(path);
    this.directory(path);
  }

  /** A relative link, as sysfs' own. */
  link(path: string, target: string): void {
    mkdirSync(dirname(this.at(path)), { recursive: true });
    rmSync(this.at(path), { force: true });
    symlinkSync(relative(dirname(this.at(path)), this.at(target)), this.at(path));
  }

  /** A link as those of `/proc/<pid>/fd` to what has no path. */
  anonymousLink(path: string, target: string): void {
    mkdirSync(dirname(this.at(path)), { recursive: true });
    symlinkSync(target, this.at(path));
  }

  /** The first line of a file: sysfs' files are written without truncation, and these are ordinary ones. */
  firstLine(path: string): string | undefined {
    return readFileSync(this.at(path), "utf8").split("\n")[0];
  }

  driver(name: string): void {
    this.file(`sys/bus/pci/drivers/${name}/bind`, "");
    this.file(`sys/bus/pci/drivers/${name}/unbind`, "");
  }

  /** A PCI device; returns its place under `sys/devices`. */
  pci(address: string, { driver, group, attributes = {} }: FakeDevice = {}): string {
    const place = `sys/devices/pci0000:00/${address}`;
    const defaults = { vendor: "0x8086", device: "0x10c9", class: "0x020000", driver_override: "(null)" };
    for (const [name, text] of Object.entries({ ...defaults, ...attributes }))
      this.file(`${place}/${name}`, `${text}\n`);
    this.link(`${place}/subsystem`, "sys/bus/pci");
    if (driver !== undefined) this.link(`${place}/driver`, `sys/bus/pci/drivers/${driver}`);
    if (group !== undefined) {
      this.link(`${place}/iommu_group`, `sys/kernel/iommu_groups/${group}`);
      this.link(`sys/kernel/iommu_groups/${group}/devices/${address}`, place);
    }
    this.link(`sys/bus/pci/devices/${address}`, place);
    return place;
  }

  /** A block device below another place. */
  block(place: string, name: string, number: string): void {
    this.file(`${place}/${name}/dev`, `${number}\n`);
    this.directory(`${place}/${name}/holders`);
    this.link(`sys/class/block/${name}`, `${place}/${name}`);
  }

  [Symbol.dispose](): void {
    rmSync(this.root, { recursive: true, force: true });
  }
}
