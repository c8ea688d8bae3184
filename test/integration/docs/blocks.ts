/** The blocks of code in README.md and the documents. */
import { readdirSync, readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";

export const root = fileURLToPath(new URL("../../..", import.meta.url));

export interface Block {
  /** Where it stands: `docs/rig.md:112`. */
  readonly place: string;
  readonly language: string;
  readonly text: string;
  /** The file that a whole program says to be, in its first line. */
  readonly program: string | undefined;
}

const documents = [
  ...["README.md", "CONTRIBUTING.md", "CHANGELOG.md"],
  ...readdirSync(`${root}docs`)
    .filter((name) => name.endsWith(".md"))
    .map((name) => `docs/${name}`),
];

function* blocksOf(document: string): Generator<Block> {
  const source = readFileSync(root + document, "utf8");
  // A block may stand in a list, indented as the list's text is.
  for (const { 1: indent = "", 2: language = "", 3: body = "", index } of source.matchAll(
    /^( *)```(\w*)\n(.*?)^ *```$/gms,
  )) {
    const text = body.replaceAll(new RegExp(`^${indent}`, "gm"), "");
    const line = source.slice(0, index).split("\n").length;
    yield { place: `${document}:${line}`, language, text, program: /^\/\/ ([\w-]+\.ts)\b/.exec(text)?.[1] };
  }
}

/** Every block, of all documents. */
export const blocks: readonly Block[] = documents.flatMap((document) => [...blocksOf(document)]);
