/**
 * `vfio completion`: scripts that complete the command's words in a shell, made from the commands' definitions.
 *
 * @module
 */
import { Argument, type Command, type Option } from "commander";
import { act, examples, type Session, subcommand } from "./command.js";
import { type Entry, outline, valueName, type WordKind, wordKind } from "./outline.js";

const shells = ["bash", "zsh", "fish"] as const;

type Shell = (typeof shells)[number];

/** The subcommand. */
export function completionCommand(session: Session): Command {
  const command = subcommand(
    session,
    "completion",
    "Print a script that completes the words of this command in a shell.",
  ).addArgument(new Argument("<shell>", "which shell").choices(shells));
  examples(command, [
    ["vfio completion bash > /etc/bash_completion.d/vfio", "bash, for everybody"],
    ["vfio completion zsh > ~/.zfunc/_vfio", "zsh: a directory of $fpath"],
    ["vfio completion fish > ~/.config/fish/completions/vfio.fish", "fish"],
  ]);
  return command.action(
    act(session, (output, shell: Shell) => {
      const script = completionScript(shell, outline(rootOf(command)));
      output.printJson({ shell, script });
      output.print(script.trimEnd());
      return undefined;
    }),
  );
}

function rootOf(command: Command): Command {
  return command.parent === null ? command : rootOf(command.parent);
}

/** The script for a shell. */
export function completionScript(shell: Shell, entries: readonly Entry[]): string {
  return { bash, zsh, fish }[shell](entries);
}

const flagsOf = ({ short, long }: Option) => [short, long].filter((flag) => flag !== undefined);

function kindOfValue(option: Option): WordKind | undefined {
  const name = valueName(option);
  return name === undefined ? undefined : wordKind({ name, choices: option.argChoices });
}

function kindOfArguments({ arguments: list, children }: Entry): readonly WordKind[] {
  if (children.length > 0) return [{ choices: children.map(({ path }) => path.at(-1) ?? "") }];
  return list.map((each) => wordKind({ name: each.name(), choices: each.argChoices }));
}

/** Where a command stands, as the scripts spell it: its path, with a slash before each word. */
const place = ({ path }: Entry) => path.map((word) => `/${word}`).join("");

/** The words that lead further down: `case` patterns. */
function steps(entries: readonly Entry[]): string {
  return entries
    .filter(({ path }) => path.length > 0)
    .map((entry) => `"${place(entry)}"`)
    .join("|");
}

// ---- bash ------------------------------------------------------------------------------------------------------------

function bashWords(kind: WordKind): string {
  if (kind === "device") return "$(ls /sys/bus/pci/devices 2>/dev/null)";
  return typeof kind === "object" ? kind.choices.join(" ") : "";
}

function bash(entries: readonly Entry[]): string {
  const values = entries.flatMap((entry) =>
    entry.options.flatMap((option) => {
      const kind = kindOfValue(option);
      if (kind === undefined) return [];
      const pattern = flagsOf(option)
        .map((flag) => `"${place(entry)} ${flag}"`)
        .join("|");
      const words = kind === "file" ? "files=1" : `candidates="${bashWords(kind)}"`;
      return [`    ${pattern}) ${words} ;;`];
    }),
  );
  const commands = entries.map((entry) => {
    const kinds = kindOfArguments(entry);
    const words = kinds.map(bashWords).filter((each) => each !== "");
    const files = kinds.includes("file") ? " files=1;" : "";
    const flags = entry.options.flatMap((option) => option.long ?? []).join(" ");
    return `      "${place(entry)}")${files} flags="${flags}" candidates="${words.join(" ")}" ;;`;
  });
  return `# bash completion for vfio
_vfio() {
  # A PCI address has colons, at which bash would break words: the line itself is read instead.
  local line=\${COMP_LINE:0:COMP_POINT} cur place= word flags= candidates= files= IFS=$' \\t\\n'
  local -a words
  read -ra words <<< "$line"
  cur=\${line##* }
  [[ -n $cur ]] && unset "words[\${#words[@]}-1]"
  for word in "\${words[@]:1}"; do
    case "$place/$word" in
      ${steps(entries)}) place+="/$word" ;;
    esac
  done
  case "$place \${words[\${#words[@]}-1]}" in
${values.join("\n")}
    *)
      case "$place" in
${commands.join("\n")}
      esac
      [[ $cur == -* ]] && candidates=$flags files=
      ;;
  esac
  COMPREPLY=($(compgen -W "$candidates" -- "$cur"))
  [[ -n $files ]] && COMPREPLY+=($(compgen -f -- "$cur"))
  # What stands before the last colon is there already.
  if [[ $cur == *:* && $COMP_WORDBREAKS == *:* ]]; then
    COMPREPLY=("\${COMPREPLY[@]#"\${cur%"\${cur##*:}"}"}")
  fi
}
complete -o filenames -F _vfio vfio
`;
}

// ---- zsh -------------------------------------------------------------------------------------------------------------

function zshWords(kind: WordKind): string {
  if (kind === "device") return "compadd -- /sys/bus/pci/devices/*(N:t)";
  if (kind === "file") return "_files";
  return typeof kind === "object" ? `compadd -- ${kind.choices.join(" ")}` : ":";
}

/** A word in single quotes; they are the same in zsh and fish but for a quote inside. */
function quoted(text: string): string {
  return `'${text.replace(/'/g, "’")}'`;
}

function zsh(entries: readonly Entry[]): string {
  const values = entries.flatMap((entry) =>
    entry.options.flatMap((option) => {
      const kind = kindOfValue(option);
      if (kind === undefined) return [];
      const pattern = flagsOf(option)
        .map((flag) => `"${place(entry)} ${flag}"`)
        .join("|");
      return [`    (${pattern}) ${zshWords(kind)}; return ;;`];
    }),
  );
  const commands = entries.map((entry) => {
    const flags = entry.options.map(({ long, short, description }) =>
      quoted(`${long ?? short ?? ""}:${description.replace(/:/g, "\\:")}`),
    );
    const words =
      entry.children.length > 0
        ? [
            `local -a names=(${entry.children.map(({ path, command }) => quoted(`${path.at(-1)}:${command.description().replace(/:/g, "\\:")}`)).join(" ")})`,
            "_describe command names",
          ]
        : kindOfArguments(entry).map(zshWords);
    return `    ("${place(entry)}")
      if [[ $cur == -* ]]; then
        local -a flags=(${flags.join(" ")})
        _describe option flags
      else
        ${words.length === 0 ? ":" : words.join("\n        ")}
      fi ;;`;
  });
  return `#compdef vfio
_vfio() {
  local place= word cur=$words[CURRENT]
  for word in \${words[2,CURRENT-1]}; do
    case "$place/$word" in
      (${steps(entries)}) place+="/$word" ;;
    esac
  done
  case "$place $words[CURRENT-1]" in
${values.join("\n")}
  esac
  case $place in
${commands.join("\n")}
  esac
}
if [[ $funcstack[1] == _vfio ]]; then _vfio "$@"; else compdef _vfio vfio; fi
`;
}

// ---- fish ------------------------------------------------------------------------------------------------------------

function fishWords(kind: WordKind): string | undefined {
  if (kind === "device") return "'(command ls /sys/bus/pci/devices 2>/dev/null)'";
  return typeof kind === "object" ? quoted(kind.choices.join(" ")) : undefined;
}

function fish(entries: readonly Entry[]): string {
  const lines = entries.flatMap((entry) => {
    const here = `complete -c vfio -n '__vfio_at "${place(entry)}"'`;
    const options = entry.options.map((option) => {
      const { short, long, description } = option;
      const flags = [
        short === undefined ? "" : `-s ${short.slice(1)}`,
        long === undefined ? "" : `-l ${long.slice(2)}`,
      ];
      const kind = kindOfValue(option);
      const words = kind === undefined ? undefined : fishWords(kind);
      const value = kind === undefined ? "" : kind === "file" ? "-r -F" : words === undefined ? "-x" : `-x -a ${words}`;
      return [here, ...flags, value, `-d ${quoted(description)}`].filter((part) => part !== "").join(" ");
    });
    const commands = entry.children.map(
      ({ path, command }) => `${here} -a ${path.at(-1)} -d ${quoted(command.description())}`,
    );
    const words =
      entry.children.length > 0
        ? []
        : kindOfArguments(entry).flatMap((kind) => {
            if (kind === "file") return [`${here} -F`];
            const list = fishWords(kind);
            return list === undefined ? [] : [`${here} -a ${list}`];
          });
    return [...commands, ...words, ...options];
  });
  return `# fish completion for vfio
function __vfio_at
    set -l place ''
    for word in (commandline -opc)[2..-1]
        switch "$place/$word"
            case ${steps(entries).replaceAll("|", " ")}
                set place "$place/$word"
        end
    end
    test "$place" = "$argv[1]"
end
complete -c vfio -f
${lines.join("\n")}
`;
}
