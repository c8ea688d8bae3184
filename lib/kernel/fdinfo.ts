/**
 * The kernel's own words on a descriptor: `/proc/PID/fdinfo/N`, one `field: value` a line.
 *
 * The fields are those of `Documentation/filesystems/proc.rst` and of each kind of file: `eventfd-id`, `Pid` of a pidfd,
 * `vfio-device-syspath`.
 *
 * @module
 */
import { readFileSync } from "node:fs";
import { join } from "node:path";

/**
 * A field of a descriptor of any process.
 *
 * @param path of the file in `fdinfo`
 * @returns undefined if this kind of file, or this kernel, has no such field
 * @throws the file system's error, if there is no such descriptor or it may not be looked at
 */
export function fdinfoField(path: string, field: string): string | undefined {
  return new RegExp(`^${field}:[ \\t]*(.*)$`, "m").exec(readFileSync(path, "latin1"))?.[1];
}

/** {@link fdinfoField} of a descriptor of this process. */
export function fdinfo(fd: number, field: string, proc = "/proc"): string | undefined {
  return fdinfoField(join(proc, "self/fdinfo", String(fd)), field);
}
