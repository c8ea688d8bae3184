/**
 * Opening device nodes, and why one may not be opened.
 *
 * @module
 */
import { constants, readFileSync } from "node:fs";
import { constants as os } from "node:os";
import { dirname } from "node:path";
import { VfioError } from "../base/errors.js";
import { OwnedFd } from "./fd.js";
import { native } from "./native.js";
import { isInitialUserNamespace, runAsRoot } from "./user-namespace.js";

const { EACCES, EPERM } = os.errno;

/** Why something failed, and what to do about it, as far as that is known. */
interface Explanation {
  readonly why?: string;
  readonly fix?: string;
}

function readMounts(): string {
  try {
    return readFileSync("/proc/self/mountinfo", "utf8");
  } catch {
    // /proc is not mounted, or Node's permission model hides it: the reason stays unknown.
    return "";
  }
}

/** The mount point that a path is below, where devices on it cannot be opened (`nodev`); undefined where they can. */
function mountWithoutDevices(path: string): string | undefined {
  // proc(5): the fifth field is the mount point, the sixth has the options. A later mount hides an earlier one.
  const mounts = new Map<string, boolean>();
  for (const line of readMounts().split("\n")) {
    const [, , , , point, options] = line.split(" ");
    if (point !== undefined) mounts.set(point, options?.split(",").includes("nodev") === true);
  }
  for (let directory = dirname(path); ; directory = dirname(directory)) {
    const nodev = mounts.get(directory);
    if (nodev !== undefined) return nodev ? directory : undefined;
    if (directory === "/") return undefined;
  }
}

/** Why this process may not open a node. The permissions of the node do not hold for root, so root has other reasons. */
function explainPermission(errno: number, path: string): Explanation {
  const mount = errno === EACCES ? mountWithoutDevices(path) : undefined;
  if (mount !== undefined) {
    return {
      why: `${mount} is mounted so that no device on it can be opened (nodev)`,
      fix: `use the host's /dev, or: mount -o remount,dev ${mount}`,
    };
  }
  if (process.geteuid?.() !== 0 || !isInitialUserNamespace()) {
    return {
      why: "this process may not open it",
      fix: `${runAsRoot()}, or let your user read and write ${path} (a udev rule)`,
    };
  }
  return errno === EPERM
    ? {
        why: "the device rules of this process's container or service do not allow it, root or not",
        fix: `allow it: --device ${path} (Docker, Podman), DeviceAllow=${path} rw (systemd)`,
      }
    : {
        why: "root may not open it here: a security module (AppArmor, SELinux) refuses it, or root has lost CAP_DAC_OVERRIDE",
        fix: "look into the audit log (dmesg, journalctl -k), and at the capabilities of this process (capsh --print)",
      };
}

/**
 * Opens a device node for reading and writing.
 *
 * @param explain why a given errno happened and what to do about it, where the caller knows more than the errno
 * @throws VfioError
 */
export function openNode(path: string, explain: (errno: number) => Explanation = () => ({})): OwnedFd {
  const fd = native.open(path, constants.O_RDWR);
  if (fd >= 0) return new OwnedFd(fd, path);
  const permission = fd === -EACCES || fd === -EPERM ? explainPermission(-fd, path) : {};
  throw new VfioError({ errno: fd, syscall: "open", path, ...permission, ...explain(-fd) });
}
