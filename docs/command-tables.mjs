/**
 * The tables of docs/command.md that the command's own definition gives: its commands and its exit codes.
 *
 * usage: npm run docs:command
 *
 * @module
 */
import { readFileSync, writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { Session } from "../dist/cli/command.js";
import { exitStatus } from "../dist/cli/exit-codes.js";
import { outline } from "../dist/cli/outline.js";
import { createProgram } from "../dist/cli/program.js";

/** Options of every command, or nearly so: the page speaks of them once. */
const everywhere = new Set(["--help", "--json", "--verbose", "--host"]);

/**
 * @param {readonly string[]} heading
 * @param {readonly (readonly string[])[]} rows
 */
function table(heading, rows) {
  const lines = [heading, heading.map(() => "---"), ...rows];
  return lines.map((cells) => `| ${cells.map((cell) => cell.replaceAll("|", "\\|")).join(" | ")} |`).join("\n");
}

function commands() {
  const { stdout, stderr } = process;
  const leaves = outline(createProgram(new Session({ stdout, stderr, env: {} }))).filter(
    ({ children }) => children.length === 0,
  );
  const rows = leaves.map(({ path, command, options }) => {
    const usage = command.usage().replace(/^\[options\]\s*/, "");
    const names = options.flatMap(({ long }) => (long === undefined || everywhere.has(long) ? [] : [`\`${long}\``]));
    return [`\`${`vfio ${path.join(" ")} ${usage}`.trim()}\``, command.description(), names.join(", ")];
  });
  return table(["command", "description", "options"], rows);
}

function exitCodes() {
  return table(
    ["code", "meaning"],
    [...exitStatus].map(([code, meaning]) => [String(code), meaning]),
  );
}

/**
 * The page with its tables made anew.
 *
 * @param {string} text
 */
export function withTables(text) {
  /** @type {(page: string, name: string, content: string) => string} */
  const replaced = (page, name, content) =>
    page.replace(
      new RegExp(`(<!-- ${name} -->\n)[^]*?(<!-- end -->)`),
      (_, begin, end) => `${begin}\n${content}\n\n${end}`,
    );
  return replaced(replaced(text, "commands", commands()), "exit codes", exitCodes());
}

const script = fileURLToPath(import.meta.url);
if (process.argv[1] === script) {
  const page = new URL("command.md", import.meta.url);
  writeFileSync(page, withTables(readFileSync(page, "utf8")));
}
