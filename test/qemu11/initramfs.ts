/**
 * The guest's only file system: an initramfs of BusyBox and two scripts, as the archive that Linux unpacks at boot
 * (Documentation/driver-api/early-userspace/buffer-format.rst).
 *
 * @module
 */

/** A file of the archive; its directory has to stand before it. */
interface Entry {
  readonly name: string;
  /** Type and permissions: st_mode. */
  readonly mode: number;
  readonly content?: Uint8Array | string;
}

const directoryMode = 0o040755;
const programMode = 0o100755;
const linkMode = 0o120777;

function align(length: number): number {
  return Math.ceil(length / 4) * 4;
}

function record({ name, mode, content = "" }: Entry, inode: number): Buffer {
  const data = Buffer.from(content);
  // inode, mode, uid, gid, nlink, mtime, size, device (major, minor), rdev (major, minor), length of the name, checksum
  const fields = [inode, mode, 0, 0, 1, 0, data.length, 0, 0, 0, 0, name.length + 1, 0];
  const header = `070701${fields.map((field) => field.toString(16).padStart(8, "0")).join("")}${name}\0`;
  const result = Buffer.alloc(align(header.length) + align(data.length));
  result.write(header, "latin1");
  data.copy(result, align(header.length));
  return result;
}

/**
 * The script talks over the second serial port, so that no message of the kernel's stands in what it says. Its exit
 * code is the port's last line; closing the port waits until all is sent.
 */
const init = `#!/bin/sh
/bin/busybox --install -s /bin
mount -t devtmpfs devtmpfs /dev
mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t tmpfs tmpfs /tmp
exec 3<>/dev/ttyS1
stty raw -echo <&3
cd /tmp
sh /script <&3 >&3 2>&3
printf '\\nexit %d\\n' $? >&3
exec 3>&-
poweroff -f
`;

/**
 * Make the archive.
 *
 * @param busybox the program's bytes; it must be linked statically
 * @param script what the guest runs, with BusyBox's shell, as root, in an empty directory
 */
export function initramfs(busybox: Uint8Array, script: string): Buffer {
  const entries: Entry[] = [
    ...["bin", "dev", "proc", "sys", "tmp"].map((name) => ({ name, mode: directoryMode })),
    { name: "bin/busybox", mode: programMode, content: busybox },
    { name: "bin/sh", mode: linkMode, content: "busybox" },
    { name: "init", mode: programMode, content: init },
    { name: "script", mode: programMode, content: script },
    { name: "TRAILER!!!", mode: 0 },
  ];
  return Buffer.concat(entries.map((entry, index) => record(entry, index + 1)));
}
