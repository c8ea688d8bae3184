import { randomBytes } from "node:crypto";
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Readable, Writable } from "node:stream";
import { describe, expect, test } from "vitest";
import { iommuKinds, runInGuest } from "../../../lib/rig/index.js";
import { ensureQemu } from "../../../lib/rig/qemu.js";

const shell = (script: string) => ["sh", "-c", script];

describe("streams", () => {
  test("carry any bytes, as many as there are, both ways", async () => {
    const bytes = randomBytes(3_000_000);
    const { stdout, stderr, exitCode } = await runInGuest({
      command: shell("tee /dev/stderr"),
      stdin: Readable.from([bytes.subarray(0, 1), bytes.subarray(1, 1_000_000), bytes.subarray(1_000_000)]),
    });
    expect(exitCode).toBe(0);
    expect(stdout.equals(bytes)).toBe(true);
    expect(stderr.equals(bytes)).toBe(true);
  });

  test("end where there is nothing to read, and stand apart from the kernel's console", async () => {
    const { stdout, stderr, console } = await runInGuest({
      command: shell("cat; echo '<1>a line for the console' > /dev/kmsg; echo done"),
    });
    expect(stdout.toString()).toBe("done\n");
    expect(stderr.toString()).toBe("");
    expect(console).toContain("a line for the console");
  });
});

describe("the host", () => {
  test("is not written, whatever the command does", async () => {
    const directory = mkdtempSync(join(tmpdir(), "vfio-host-"));
    try {
      writeFileSync(join(directory, "kept"), "as it was");
      writeFileSync(join(directory, "removed"), "still here");
      const { exitCode, stdout } = await runInGuest({
        cwd: directory,
        command: shell(`set -e
          touch made /made-by-the-rig; echo changed > kept; rm removed; chmod 0 .
          echo written > /etc/hostname; dd if=/dev/urandom of=/dev/nvme0n1 bs=4096 count=4 conv=fsync 2>/dev/null
          ls; cat kept /etc/hostname`),
      });
      expect(exitCode).toBe(0);
      expect(stdout.toString()).toBe("kept\nmade\nchanged\nwritten\n");
      expect(readdirSync(directory)).toEqual(["kept", "removed"]);
      expect(readFileSync(join(directory, "kept"), "utf8")).toBe("as it was");
      expect(existsSync("/made-by-the-rig")).toBe(false);
      expect(readFileSync("/etc/hostname", "utf8")).not.toBe("written\n");
    } finally {
      rmSync(directory, { recursive: true });
    }
  });

  test("gives the command its environment, and what the caller adds", async () => {
    const { stdout } = await runInGuest({
      command: [process.execPath, "-p", "[process.env.ADDED, process.cwd(), process.getuid()].join()"],
      env: { ADDED: "it's here" },
    });
    expect(stdout.toString()).toBe(`it's here,${process.cwd()},0\n`);
  });
});

describe("failures", () => {
  test("a kernel panic is an error with the panic's text", async () => {
    const run = runInGuest({ command: shell("echo c > /proc/sysrq-trigger") });
    await expect(run).rejects.toMatchObject({
      code: "ERR_RIG_PANIC",
      message: expect.stringMatching(/Kernel panic - not syncing: sysrq triggered crash[\s\S]*Call Trace/),
    });
  });

  test("a command that hangs is killed, and the console is there", async () => {
    const run = runInGuest({
      command: shell("echo '<1>before the hang' > /dev/kmsg; exec sleep 100000"),
      timeout: 20_000,
    });
    await expect(run).rejects.toMatchObject({
      code: "ERR_RIG_TIMEOUT",
      message: "The guest did not end within 20 s and was killed",
      log: expect.stringContaining("before the hang"),
    });
  });

  test("a command that powers the guest off has not ended", async () => {
    const run = runInGuest({ command: shell("echo o > /proc/sysrq-trigger; sleep 100000") });
    await expect(run).rejects.toMatchObject({ code: "ERR_RIG_ENDED" });
  });

  test("the caller can stop it", async () => {
    const abort = new AbortController();
    const run = runInGuest({
      command: shell("echo up; sleep 100000"),
      stdout: new Writable({
        write(_chunk, _encoding, done) {
          abort.abort();
          done();
        },
      }),
      signal: abort.signal,
    });
    await expect(run).rejects.toMatchObject({ code: "ERR_RIG_ABORTED" });
    const late = runInGuest({ command: ["true"], signal: AbortSignal.abort() });
    await expect(late).rejects.toMatchObject({ code: "ERR_RIG_ABORTED" });
  });

  test.each([
    ["ERR_OUT_OF_RANGE", { command: [] }],
    ["ERR_OUT_OF_RANGE", { command: ["true"], memory: 16 }],
    ["ERR_OUT_OF_RANGE", { command: ["true"], cpus: 1.5 }],
    ["ERR_OUT_OF_RANGE", { command: ["true"], timeout: -1 }],
  ])("%s for %j", async (code, options) => {
    await expect(runInGuest(options)).rejects.toMatchObject({ code });
  });
});

describe("a shell", () => {
  test("has a terminal, reads what is typed, and ends with its own exit code", async () => {
    const { stdout, exitCode } = await runInGuest({
      command: [],
      shell: "only",
      stdin: Readable.from(["tty; echo $((6 * 7)) $-; exit 3\r"]),
    });
    expect(stdout.toString()).toMatch(/\/dev\/hvc0\r\n42 \w*i\w*\r\n/);
    expect(exitCode).toBe(3);
  });

  test("follows a command that is kept, whose exit code remains", async () => {
    const { stdout, exitCode } = await runInGuest({
      command: shell("touch /left-behind; exit 5"),
      shell: "after",
      // The end of what is typed is the end of the shell.
      stdin: Readable.from(["ls /left-behind\r"]),
    });
    expect(stdout.toString()).toMatch(/exit code 5[\s\S]*\/left-behind\r\n/);
    expect(exitCode).toBe(5);
  });
});

/** Each device of the machine: address, IDs, IOMMU group, driver. */
const listing = `cd /sys/bus/pci/devices; for d in *; do
  group=$(readlink $d/iommu_group) driver=$(readlink $d/driver)
  read -r vendor <$d/vendor; read -r device <$d/device
  echo "$d $vendor:$device \${group##*/} \${driver##*/}"
done; ls /dev/iommu /dev/vfio/vfio >&2`;

// Debian's QEMU before 10.2 has an AMD IOMMU that does not translate.
const amdTranslates = await ensureQemu({ iommu: "amd" }).then(
  () => true,
  () => false,
);

test.skipIf(amdTranslates)("an IOMMU that does not translate is refused at once", async () => {
  const run = runInGuest({ command: ["true"], iommu: "amd" });
  await expect(run).rejects.toMatchObject({ code: "ERR_RIG_MISSING", message: expect.stringContaining("10.2") });
});

const translating = iommuKinds.filter((iommu) => iommu !== "none" && (iommu !== "amd" || amdTranslates));

describe.each(translating)("the machine with %s", (iommu) => {
  test("has its devices where the documentation says, in groups that follow", async () => {
    const { stdout, stderr } = await runInGuest({
      iommu,
      command: shell(listing),
      // Beside the default devices, one in the free slot.
      devices: ["e1000e,bus=port-free,romfile="],
    });
    expect(stderr.toString()).toBe("/dev/iommu\n/dev/vfio/vfio\n");
    const devices = new Map(
      stdout
        .toString()
        .trim()
        .split("\n")
        .map((line) => {
          const [address = "", ids, group, driver] = line.split(" ");
          return [address.replace(/^0000:/, ""), { ids, group, driver }] as const;
        }),
    );
    const group = (address: string) => devices.get(address)?.group;
    const members = (address: string) => [...devices.keys()].filter((other) => group(other) === group(address));

    expect(devices.get("00:02.0")).toMatchObject({ ids: "0x1234:0x11e8", driver: "" });
    expect(devices.get("00:07.0")).toMatchObject({ ids: "0x1af4:0x1110", driver: "" });
    expect(devices.get("00:09.0")).toMatchObject({ ids: "0x1b36:0x000d", driver: "" });
    expect(devices.get("01:00.0")).toMatchObject({ ids: "0x8086:0x10c9", driver: "igb" });
    expect(devices.get("02:00.0")).toMatchObject({ ids: "0x1b36:0x0010", driver: "nvme" });
    expect(devices.get("03:00.0")).toMatchObject({ ids: "0x8086:0x10d3", driver: "e1000e" });
    expect(devices.get("03:00.1")).toMatchObject({ ids: "0x8086:0x10d3", driver: "e1000e" });
    expect(devices.get("04:00.0")).toMatchObject({ ids: "0x8086:0x10d3", driver: "e1000e" });
    for (const alone of ["00:02.0", "00:07.0", "00:09.0", "01:00.0", "02:00.0", "04:00.0"]) {
      expect(group(alone)).toMatch(/^\d+$/);
      expect(members(alone)).toEqual([alone]);
    }
    expect(members("03:00.0")).toEqual(["03:00.0", "03:00.1"]);
    if (iommu === "virtio") {
      expect(devices.has("06:01.0")).toBe(false);
    } else {
      expect(members("06:01.0")).toEqual(["05:00.0", "06:01.0", "06:02.0", "06:03.0"]);
      expect(devices.get("06:03.0")).toMatchObject({ ids: "0x1b36:0x0002", driver: "serial" });
    }
  });
});

test("the machine's memory and processors are as many as asked for", async () => {
  const { stdout } = await runInGuest({
    memory: 2048,
    cpus: 4,
    command: shell(
      "nproc; ls -d /sys/kernel/mm/hugepages/*; cat /proc/sys/vm/nr_hugepages; findmnt -n -o FSTYPE /dev/hugepages",
    ),
  });
  expect(stdout.toString()).toBe(
    "4\n/sys/kernel/mm/hugepages/hugepages-1048576kB\n/sys/kernel/mm/hugepages/hugepages-2048kB\n256\nhugetlbfs\n",
  );
});
