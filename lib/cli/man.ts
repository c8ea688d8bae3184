/**
 * `vfio man`: the manual page, made from the commands' definitions.
 *
 * @module
 */
import type { Command } from "commander";
import { act, examples, examplesOf, remarkOf, type Session, subcommand } from "./command.js";
import { exitStatus } from "./exit-codes.js";
import { type Entry, outline } from "./outline.js";

/** The subcommand. */
export function manCommand(session: Session): Command {
  const command = subcommand(session, "man", "Print the manual page, in the format of man(1).");
  examples(command, [
    ["vfio man | man -l -", "read it"],
    ["vfio man > /usr/local/share/man/man1/vfio.1", "install it"],
  ]);
  return command.action(
    act(session, (output) => {
      let root = command;
      while (root.parent !== null) root = root.parent;
      const page = manualPage(outline(root), root.version() ?? "");
      output.printJson({ page });
      output.print(page.trimEnd());
      return undefined;
    }),
  );
}

/** Text as roff takes it: its own characters mean something, so does a dot that begins a line, and it reads ASCII. */
function roff(text: string): string {
  return text
    .replace(/\\/g, "\\e")
    .replace(/-/g, "\\-")
    .replace(/^(['.])/gm, "\\&$1")
    .replace(
      /[^ -~\n]/gu,
      (letter) => `\\[u${(letter.codePointAt(0) ?? 0).toString(16).toUpperCase().padStart(4, "0")}]`,
    );
}

const bold = (text: string) => `\\fB${roff(text)}\\fR`;

function item(title: string, text: string): string {
  return `.TP\n${title}\n${roff(text)}`;
}

function section(entry: Entry): string {
  const { path, command, options, arguments: list } = entry;
  const words = ["vfio", ...path].join(" ");
  const help = command.createHelp();
  const blocks = [
    `.SS ${bold(`vfio ${path.join(" ")}`)}`,
    roff(command.description()),
    `.PP\n${bold(words)} ${roff(command.usage())}`,
    ...list.map((each) => item(`\\fI${roff(each.name())}\\fR`, help.argumentDescription(each))),
    ...options
      // --help is the same everywhere, and said once.
      .filter(({ long }) => long !== "--help")
      .map((option) => item(bold(help.optionTerm(option)), help.optionDescription(option))),
    ...(remarkOf.has(command) ? [`.PP\n${roff(remarkOf.get(command) ?? "")}`] : []),
    ...(examplesOf.get(command) ?? []).map(
      ([example, what]) =>
        `.PP\n${roff(what.replace(/^./, (first) => first.toUpperCase()))}:\n.RS\n${bold(example)}\n.RE`,
    ),
  ];
  return blocks.join("\n");
}

/** The page. */
export function manualPage(entries: readonly Entry[], version: string): string {
  const [root, ...commands] = entries;
  const leaves = commands.filter(({ children }) => children.length === 0);
  return `.TH VFIO 1 "" "vfio ${roff(version)}" "User Commands"
.SH NAME
vfio \\- PCI devices for programs in user space
.SH SYNOPSIS
.B vfio
.I command
.RI [ options ]
.SH DESCRIPTION
${roff(root?.command.description() ?? "")}
.PP
Every command has ${bold("--help")}. Numbers are decimal, or hexadecimal with 0x. An address may be given without its domain 0000.
The kernel resets a device when a program opens it and when it closes it: each command finds a fresh device.
.SH COMMANDS
${leaves.map(section).join("\n")}
.SH EXIT STATUS
${[...exitStatus].map(([code, meaning]) => item(bold(String(code)), meaning)).join("\n")}
.SH ENVIRONMENT
${item(bold("NO_COLOR, FORCE_COLOR"), "Colour never, or always; otherwise only on a terminal.")}
${item(bold("COLUMNS"), "How wide lines may be where the output is no terminal.")}
.SH FILES
${item(bold("/run/vfio/*.json"), "The former drivers of devices that vfio bind has taken.")}
${item(bold("/usr/share/misc/pci.ids, /usr/share/hwdata/pci.ids"), "Names of vendors, devices and classes.")}
.SH SEE ALSO
.BR lspci (8),
.BR setpci (8)
`;
}
