/**
 * `vfio read` and `vfio write`: a device's registers from the shell.
 *
 * @module
 */
import { Argument, type Command, InvalidArgumentError, Option } from "commander";
import type { Device } from "../device/device.js";
import type { Registers, Width } from "../device/registers.js";
import { type AttachOptions, findRegion, modeOption, withDevice } from "./attach.js";
import {
  act,
  type CommonOptions,
  deviceArgument,
  examples,
  parseNumber,
  parseOffset,
  remark,
  type Session,
  subcommand,
} from "./command.js";
import type { Output } from "./terminal.js";

interface Options extends CommonOptions, AttachOptions {
  readonly width: Width;
}

interface ReadOptions extends Options {
  readonly count: number;
}

interface WriteOptions extends Options {
  readonly read?: readonly number[];
}

/** A register and what to write to it. */
export interface Assignment {
  readonly offset: number;
  readonly value: bigint;
}

const regionArgument = () => new Argument("<region>", "bar0 to bar5, rom, config, vga, or the region's index");

function parseWidth(text: string): Width {
  switch (text) {
    case "1":
    case "2":
    case "4":
    case "8":
      return text === "1" ? 1 : text === "2" ? 2 : text === "4" ? 4 : 8;
    default:
      throw new InvalidArgumentError("It must be 1, 2, 4 or 8 bytes.");
  }
}

const widthOption = () =>
  new Option("-w, --width <bytes>", "of each access: 1, 2, 4 or 8").argParser(parseWidth).default(4);

/** `0x60=1` */
export function parseAssignment(text: string): Assignment {
  const [, offset, value] = /^(0x[0-9a-f]+|\d+)=(0x[0-9a-f]+|\d+)$/i.exec(text) ?? [];
  if (offset === undefined || value === undefined) {
    throw new InvalidArgumentError("It must be like 0x60=1: an offset, and the value to write there.");
  }
  return { offset: parseOffset(offset), value: BigInt(value) };
}

/** The subcommand `read`. */
export function readCommand(session: Session): Command {
  const command = subcommand(session, "read", "Read registers of a device: one access of the given width for each.")
    .addArgument(deviceArgument())
    .addArgument(regionArgument())
    .addArgument(
      new Argument("[offset...]", "in bytes; left out: 0").argParser((text, before: number[] | undefined) => [
        ...(before ?? []),
        parseOffset(text),
      ]),
    )
    .addOption(widthOption())
    .addOption(
      new Option("-c, --count <registers>", "so many from each offset on")
        .argParser(parseNumber(1, 1 << 20))
        .default(1),
    )
    .addOption(modeOption());
  examples(command, [
    ["vfio read 01:00.0 bar0 0x8", "one register of 32 bits"],
    ["vfio read 01:00.0 config 0 2 --width 2", "vendor and device"],
    ["vfio read 01:00.0 bar0 --count 16", "the first 64 bytes"],
  ]);
  remark(command, resetNote);
  return command.action(act(session, read));
}

/** The subcommand `write`. */
export function writeCommand(session: Session): Command {
  const command = subcommand(
    session,
    "write",
    "Write registers of a device, in order, and read some of them afterwards.",
  )
    .addArgument(deviceArgument())
    .addArgument(regionArgument())
    .addArgument(
      new Argument("<offset=value...>", "where to write what").argParser((text, before: Assignment[] | undefined) => [
        ...(before ?? []),
        parseAssignment(text),
      ]),
    )
    .addOption(
      new Option("-r, --read <offset>", "read this register after the writes (may be repeated)").argParser(
        (text, before: number[] | undefined) => [...(before ?? []), parseOffset(text)],
      ),
    )
    .addOption(widthOption())
    .addOption(modeOption());
  examples(command, [["vfio write 00:02.0 bar0 0x8=5 --read 0x8", "write 5 to 0x8, and see what it says then"]]);
  remark(command, resetNote);
  return command.action(act(session, write));
}

/** For help texts. */
const resetNote =
  "The kernel resets a device when it is opened and when it is closed, and each command does both: what one command writes, the next one does not find.";

function readRegister(registers: Registers, offset: number, width: Width): bigint {
  switch (width) {
    case 1:
      return BigInt(registers.read8(offset));
    case 2:
      return BigInt(registers.read16(offset));
    case 4:
      return BigInt(registers.read32(offset));
    case 8:
      return registers.read64(offset);
  }
}

function writeRegister(registers: Registers, { offset, value }: Assignment, width: Width): void {
  // What does not fit is refused by the register itself: as a number it is too large still.
  if (width === 1) registers.write8(offset, Number(value));
  else if (width === 2) registers.write16(offset, Number(value));
  else if (width === 4) registers.write32(offset, Number(value));
  else registers.write64(offset, value);
}

/** Writes to `bar0:0x60=1` and the like, for commands that have to stir their device. */
export function writeAll(
  device: Device,
  writes: readonly { readonly region: string; readonly assignment: Assignment }[],
): void {
  for (const { region, assignment } of writes) writeRegister(findRegion(device, region), assignment, 4);
}

const hex = (value: bigint | number, bytes: number) => `0x${value.toString(16).padStart(2 * bytes, "0")}`;

function report(output: Output, device: Device, region: string, width: Width, offsets: readonly number[]): void {
  // The region itself, and not a mapping of it: an access that fails is an error, and not a signal that ends the process.
  const registers = findRegion(device, region);
  const values = offsets.map((offset) => ({ offset, value: readRegister(registers, offset, width) }));
  output.printJson({
    address: device.address,
    region: registers.name,
    width,
    values: values.map(({ offset, value }) => ({ offset, value: hex(value, width) })),
  });
  for (const { offset, value } of values)
    output.print(`${output.colors.dim(`${hex(offset, 4)}:`)} ${hex(value, width)}`);
}

async function read(
  output: Output,
  address: string,
  region: string,
  offsets: readonly number[] | undefined,
  options: ReadOptions,
): Promise<number | undefined> {
  const { width, count } = options;
  const starts = offsets === undefined || offsets.length === 0 ? [0] : offsets;
  const each = starts.flatMap((start) => Array.from({ length: count }, (_, index) => start + index * width));
  await withDevice(address, options, (device) => report(output, device, region, width, each));
  return undefined;
}

async function write(
  output: Output,
  address: string,
  region: string,
  assignments: readonly Assignment[],
  options: WriteOptions,
): Promise<number | undefined> {
  const { width } = options;
  await withDevice(address, options, (device) => {
    const registers = findRegion(device, region);
    for (const assignment of assignments) writeRegister(registers, assignment, width);
    report(output, device, region, width, options.read ?? []);
  });
  return undefined;
}
