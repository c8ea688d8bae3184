/**
 * The command's exit codes and their meanings: the one table, for the code, the manual page and docs/command.md.
 *
 * @module
 */
const meanings = new Map<number, string>();

function code<Value extends number>(value: Value, meaning: string): Value {
  meanings.set(value, meaning);
  return value;
}

/** The exit codes of the command. */
export const exitCodes = {
  done: code(0, "Done; or the answer is yes (doctor, live-update check)."),
  failed: code(1, "It was refused or failed; or the answer is no."),
  usage: code(2, "Wrong arguments."),
  noDevice: code(3, "There is no such device."),
  permission: code(4, "This user may not do it."),
  busy: code(5, "The device is in use."),
  /** The number that docker and timeout(1) use, too. */
  rigFailed: code(125, "The rig itself failed (vfio rig); any other code is that of the command in the guest."),
  /** As env(1), timeout(1) and every shell have it; so is 127. */
  notRun: code(126, "The program of vfio trace cannot be run. Any other code but 127 is the program's."),
  notFound: code(127, "The program of vfio trace is not there."),
  /** 128 + SIGINT. */
  interrupted: code(130, "Ctrl-C."),
  /** 128 + SIGPIPE. */
  readerGone: code(141, "The reader of the output has gone, as in vfio list | head."),
} as const;

/** What each exit code means, in the order of the codes. */
export const exitStatus: ReadonlyMap<number, string> = meanings;
