/**
 * Findings one below the other, each with a mark, a title, and beside them what was found and what to do about it.
 *
 * @module
 */
import { visibleLength } from "./table.js";
import { type Output, wrapAdvice } from "./terminal.js";

/** One thing that was looked at. */
export interface Finding {
  /** One character, in its colour. */
  readonly mark: string;
  readonly title: string;
  readonly parts: readonly {
    readonly found: string;
    /** What to do about it. */
    readonly fix: string | undefined;
  }[];
}

const WIDEST = 120;
const LEAST_ROOM = 24;

/** Draws them. Nothing is cut; a line that is too long for its column (a command) begins further to the left. */
export function drawFindings(output: Output, findings: readonly Finding[]): string {
  const width = Math.min(output.width, WIDEST);
  const titles = Math.max(...findings.map(({ title }) => title.length));
  const indent = titles + 5;
  const room = Math.max(width - indent, LEAST_ROOM);
  const beside = (line: string) => " ".repeat(Math.max(0, Math.min(indent, width - visibleLength(line)))) + line;
  const partLines = ({ found, fix }: Finding["parts"][number]) => [
    ...wrapAdvice(found, room).split("\n"),
    ...(fix === undefined ? [] : wrapAdvice(`→ ${fix}`, room).split("\n").map(output.colors.cyan)),
  ];
  return findings
    .flatMap(({ mark, title, parts }) => {
      const [first = "", ...more] = parts.flatMap(partLines);
      return [`${mark}  ${title.padEnd(titles)}  ${first}`, ...more.map(beside)];
    })
    .join("\n");
}
