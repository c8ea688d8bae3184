/**
 * The emulated machine: QEMU's command line, made from a few choices. Nothing here touches the host.
 *
 * Every device sits at an address of its own choosing, so that a test may name it and a user's `--device` does not move
 * it. What is there, and which IOMMU groups follow from it, is described in docs/rig.md.
 *
 * @module
 */
import { outOfRangeError } from "../base/errors.js";

/** The IOMMUs that QEMU emulates, and a machine without one. */
export const iommuKinds = ["intel", "amd", "virtio", "none"] as const;

/** The emulated IOMMU: Intel VT-d, AMD-Vi or virtio-iommu; or none. */
export type IommuKind = (typeof iommuKinds)[number];

/** What the machine is made of. */
export interface Machine {
  /** Guest memory, in MiB. */
  readonly memory: number;
  /** Virtual CPUs. The kernel of the rig knows at most 8. */
  readonly cpus: number;
  /** The IOMMU between the devices and memory. Without one the kernel gives no device to user space. */
  readonly iommu: IommuKind;
  /** Devices beside the default ones, each as QEMU's `-device` takes it. */
  readonly devices: readonly string[];
}

/** Guest memory if nobody says otherwise: huge pages of both sizes take 1.5 GiB, a test-suite under Node 1 GiB. */
export const defaultMemory = 4096;

/** Virtual CPUs if nobody says otherwise: a test and a device under test run side by side. */
export const defaultCpus = 2;

/** Below this the kernel boots, but leaves Node no room beside the huge pages. */
export const leastMemory = 1024;

/** `CONFIG_NR_CPUS` of the rig's kernel. */
export const mostCpus = 8;

/**
 * Read a size as QEMU writes it: a number of MiB, or one with a suffix `M` or `G`.
 *
 * @returns MiB
 * @throws RangeError (`ERR_OUT_OF_RANGE`) for anything else, or less than {@link leastMemory}
 */
export function parseMemory(text: string): number {
  const match = /^(\d+)([MG]?)$/i.exec(text);
  const mib = match === null ? Number.NaN : Number(match[1]) * (match[2]?.toUpperCase() === "G" ? 1024 : 1);
  if (!(mib >= leastMemory && mib <= 1024 * 1024)) {
    throw outOfRangeError("memory", `a size in MiB, or one like 4G, of at least ${leastMemory}M`, text);
  }
  return mib;
}

/**
 * The devices of the default machine, in the order of their addresses, as QEMU's arguments.
 *
 * Root ports carry what must be a PCI Express endpoint of its own; without a port, a device on the root complex would be
 * an integrated endpoint, which cannot be reset through its slot and has no neighbours to be grouped with. The network
 * cards have no boot ROM: Debian packages it apart, and nothing boots from them.
 *
 * @param iommu the machine's IOMMU
 * @param disk path of a raw image for the NVMe controller; it is opened as a snapshot, so it is never written
 */
export function defaultDevices(iommu: IommuKind, disk: string): string[] {
  const bridge = [
    ["-device", "pcie-root-port,id=port-bridge,addr=08.0,chassis=5,slot=5"],
    ["-device", "pcie-pci-bridge,id=bridge,bus=port-bridge"],
    ["-device", "edu,bus=bridge,addr=01.0", "-device", "edu,bus=bridge,addr=02.0"],
    ["-device", "pci-serial,bus=bridge,addr=03.0"],
  ].flat();
  return [
    // 00:02.0, alone on the root bus: registers, DMA with a 28-bit mask, INTx, MSI.
    ["-device", "edu,addr=02.0"],
    // 01:00.0: MSI-X and SR-IOV, a real driver's worth of registers.
    ["-device", "pcie-root-port,id=port-igb,addr=03.0,chassis=1,slot=1"],
    ["-netdev", "hubport,id=net-igb,hubid=1", "-device", "igb,bus=port-igb,netdev=net-igb,romfile="],
    // 02:00.0: a block device whose queues live in memory that DMA reaches.
    ["-device", "pcie-root-port,id=port-nvme,addr=04.0,chassis=2,slot=2"],
    ["-drive", `if=none,id=disk,format=raw,snapshot=on,file=${optionValue(disk)}`],
    ["-device", "nvme,bus=port-nvme,serial=rig,drive=disk"],
    // 03:00.0 and 03:00.1: two functions without ACS share a group and a slot, so a hot reset concerns both.
    // After a hot reset the kernel waits for a link faster than 5 GT/s to report itself up, which QEMU's port never does.
    ["-device", "pcie-root-port,id=port-pair,addr=05.0,chassis=3,slot=3,x-speed=5"],
    ["-netdev", "hubport,id=net-pair0,hubid=2", "-netdev", "hubport,id=net-pair1,hubid=2"],
    ["-device", "e1000e,bus=port-pair,addr=00.0,multifunction=on,netdev=net-pair0,romfile="],
    ["-device", "e1000e,bus=port-pair,addr=00.1,netdev=net-pair1,romfile="],
    // Bus 04: an empty slot, for a device of the user's (`bus=port-free`).
    ["-device", "pcie-root-port,id=port-free,addr=06.0,chassis=4,slot=4"],
    // 00:07.0: a 256 MiB, 64-bit, prefetchable BAR that is plain memory. The host pays for the pages that are touched.
    ["-object", "memory-backend-memfd,id=shared,size=256M,share=on"],
    ["-device", "ivshmem-plain,memdev=shared,addr=07.0"],
    // 00:09.0: several vectors of MSI, which no other device here has.
    ["-device", "qemu-xhci,addr=09.0,msi=on,msix=off"],
    // 06:01.0 to 06:03.0: devices behind a conventional bridge share its requester id, and so one IOMMU group. The kernel
    // has a driver for the serial port, so the group is not viable until somebody unbinds it. QEMU's virtio-iommu does not
    // know the devices behind such a bridge, and Linux then gives up the IOMMU altogether: it has to do without them. The
    // bridge comes last, so that nobody else's address depends on it.
    iommu === "virtio" ? [] : bridge,
  ].flat();
}

/** QEMU reads a comma inside a value as two. */
function optionValue(value: string): string {
  return value.replaceAll(",", ",,");
}

function iommuArguments(iommu: IommuKind): string[] {
  switch (iommu) {
    case "intel":
      // Caching mode makes the kernel invalidate after a map too, which is what shows a mapping that was never made.
      return ["-device", "intel-iommu,caching-mode=on"];
    case "amd":
      // Without it, devices go around the IOMMU, whatever the kernel has mapped.
      return ["-device", "amd-iommu,dma-remap=on"];
    case "virtio":
      return ["-device", "virtio-iommu-pci,addr=1c.0"];
    case "none":
      return [];
  }
}

/** The file descriptors, inherited by QEMU, that carry the guest's channels. */
export const channels = { console: 3, control: 4, stdin: 5, stdout: 6, stderr: 7 } as const;

/** What QEMU needs beside the machine itself. */
export interface Boot {
  /** Path of the kernel's bzImage. */
  readonly kernel: string;
  /** A directory on the host with `init.sh` and `job.sh`; QEMU and the guest only read it. */
  readonly directory: string;
  /** Path of the raw image behind the NVMe controller. */
  readonly disk: string;
  /** Give the guest a terminal in place of three pipes. */
  readonly interactive: boolean;
}

/** The guest kernel's command line. */
export function kernelCommandLine(machine: Machine, boot: Boot): string {
  // 1 GiB pages are set aside at boot or never. A gigabyte is too much for a small guest.
  const hugePages = machine.memory >= 3072 ? ["hugepagesz=1G", "hugepages=1"] : [];
  return [
    "console=ttyS0",
    "quiet",
    "loglevel=4",
    // The check that the timer ticks counts on real time, and panics on a busy host; an emulated timer ticks.
    "no_timer_check",
    // A panic ends the machine (with -no-reboot), and an oops is a panic: neither may look like a hang.
    "panic=-1",
    "oops=panic",
    "root=hostroot",
    "rootfstype=9p",
    // Nobody changes the files under a running guest: cache everything, what does not exist included.
    "rootflags=trans=virtio,version=9p2000.L,msize=512000,cache=loose,negtimeout=-1",
    "ro",
    "intel_iommu=on",
    "iommu=nopt",
    ...hugePages,
    "hugepagesz=2M",
    "hugepages=256",
    "default_hugepagesz=2M",
    "kho=on",
    "liveupdate=on",
    "init=/bin/sh",
    "--",
    `"${boot.directory}/init.sh"`,
    `"${boot.directory}"`,
  ].join(" ");
}

/** QEMU's arguments for a machine. */
export function qemuArguments(machine: Machine, boot: Boot): string[] {
  const channel = (name: keyof typeof channels) => ["-chardev", `socket,id=${name},fd=${channels[name]}`];
  const port = (name: keyof typeof channels, nr: number) => [
    ...channel(name),
    "-device",
    `virtserialport,bus=serial.0,nr=${nr},chardev=${name},name=vfio-rig.${name}`,
  ];
  return [
    ["-nodefaults", "-no-user-config", "-no-reboot", "-display", "none"],
    // 36 bits of physical addresses keep SeaBIOS's windows below 4 GiB: QEMU 10 forgets the upper half of a virtual
    // function's BAR address.
    // One thread for all processors: with a thread each, QEMU 10 aborts now and then when one processor changes the memory
    // map while another reads a register (iotlb_to_section: section_index < d->map.sections_nb).
    ["-M", "q35", "-accel", "tcg,thread=single", "-cpu", "max,phys-bits=36"],
    ["-smp", String(machine.cpus), "-m", `${machine.memory}M`],
    ["-kernel", boot.kernel, "-append", kernelCommandLine(machine, boot)],
    [...channel("console"), "-serial", "chardev:console"],
    iommuArguments(machine.iommu),
    // Two host file systems may use one inode number; the guest sees them as one file system.
    ["-fsdev", "local,id=root,path=/,security_model=none,readonly=on,multidevs=remap"],
    ["-device", "virtio-9p-pci,fsdev=root,mount_tag=hostroot,addr=1d.0"],
    // Port 0 of a virtio-serial controller can only be a console.
    ["-device", "virtio-serial-pci,id=serial,addr=1e.0"],
    port("control", 1),
    boot.interactive
      ? [...channel("stdin"), "-device", "virtconsole,bus=serial.0,nr=0,chardev=stdin"]
      : [port("stdin", 2), port("stdout", 3), port("stderr", 4)].flat(),
    defaultDevices(machine.iommu, boot.disk),
    machine.devices.flatMap((device) => ["-device", device]),
  ].flat();
}
