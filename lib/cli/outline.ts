/**
 * The commands as data, for what is made from their definitions: completions and the manual page.
 *
 * @module
 */
import type { Argument, Command, Option } from "commander";

/** A command and its path: `["live-update", "check"]`; empty for the program itself. */
export interface Entry {
  readonly path: readonly string[];
  readonly command: Command;
  readonly children: readonly Entry[];
  readonly options: readonly Option[];
  readonly arguments: readonly Argument[];
}

/** All commands below one, itself first. */
export function outline(command: Command, path: readonly string[] = []): readonly Entry[] {
  const below = command.commands.map((child) => outline(child, [...path, child.name()]));
  const help = command.createHelp();
  return [
    {
      path,
      command,
      children: below.flatMap(([first]) => (first === undefined ? [] : [first])),
      options: help.visibleOptions(command),
      arguments: [...command.registeredArguments],
    },
    ...below.flat(),
  ];
}

/** What a word of the command line is, for completion. */
export type WordKind = { readonly choices: readonly string[] } | "device" | "file" | "anything";

/** What an argument or an option's value is. */
export function wordKind({
  name,
  choices,
}: {
  readonly name: string;
  readonly choices: readonly string[] | undefined;
}): WordKind {
  if (choices !== undefined) return { choices };
  if (name === "address") return "device";
  if (/^(file|root|binary|bzImage)$/.test(name)) return "file";
  return "anything";
}

/** The name of an option's value: `file` of `--pci-ids <file>`. */
export function valueName(option: Option): string | undefined {
  return /[<[]([^>\]]+)[>\]]/.exec(option.flags)?.[1];
}
