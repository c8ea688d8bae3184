/**
 * The pictures of terminals in README.md and docs: real output, in a terminal of 80 columns and in a wide one.
 *
 * usage: npm run build && node docs/screens/make.mjs [name...]
 *
 * Most of them come from the rig. With VFIO_PCI_IDS=<file> devices have names there that this machine's pci.ids lacks. What a terminal makes of the output is xterm's business; here its cells become SVG.
 *
 * @module
 */
import { spawn } from "node:child_process";
import { writeFile } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import xterm from "@xterm/headless";

const root = fileURLToPath(new URL("../..", import.meta.url));
const command = `${process.execPath} ${root}dist/cli/main.js`;
const WIDE = 120;
const NARROW = 80;

/**
 * @typedef {object} Screen
 * @property {string} name of the picture
 * @property {readonly string[]} lines what somebody types
 * @property {string} [instead] what is run for them
 * @property {string} [before] what is run before, and not shown
 * @property {readonly number[]} widths in columns; a picture each
 */

/** On any machine. @type {readonly Screen[]} */
const here = [
  // Its first act, which is all of it for a user without privileges.
  { name: "start", lines: ["npm start"], instead: "node dist/examples/anywhere.js", widths: [WIDE, NARROW] },
];

const GIVEN = "vfio bind 00:02.0 02:00.0 06:01.0 >/dev/null 2>&1";

/** In the rig's guest. @type {readonly Screen[]} */
const inGuest = [
  { name: "list", lines: ["vfio list"], widths: [WIDE, NARROW] },
  { name: "doctor-no", lines: ["vfio doctor 06:01.0"], widths: [WIDE, NARROW] },
  { name: "bind", lines: ["vfio bind 01:00.0 --dry-run", "vfio bind 02:00.0"], widths: [WIDE] },
  { name: "doctor", before: GIVEN, lines: ["vfio doctor 02:00.0"], widths: [WIDE, NARROW] },
  { name: "info", before: GIVEN, lines: ["vfio info 02:00.0"], widths: [WIDE, NARROW] },
  { name: "live-update", before: GIVEN, lines: ["vfio live-update check 02:00.0"], widths: [NARROW] },
  {
    name: "irq",
    before: GIVEN,
    lines: ["vfio irq 00:02.0", "vfio irq 00:02.0 --watch --write bar0:0x60=1 --count 1"],
    widths: [NARROW],
  },
  {
    name: "trace",
    lines: ["vfio trace -- node first-device.js"],
    instead: "vfio trace -- node dist/examples/first-device.js",
    widths: [WIDE],
  },
  {
    name: "errors",
    before: GIVEN,
    lines: [
      "vfio info 01:00",
      "vfio info 0b:00.0",
      "vfio read 01:00.0 bar0",
      "vfio read 02:00.0 bar3",
      "vfio read 06:01.0 bar0 0",
    ],
    widths: [WIDE, NARROW],
  },
];

const names = process.argv.slice(2);
/** @param {Screen} screen */
const wanted = ({ name }) => names.length === 0 || names.includes(name);

/** @param {string} text */
const quote = (text) => `'${text.replaceAll("'", "'\\''")}'`;

/**
 * Types lines on a terminal. `script` makes one.
 *
 * @param {Screen} screen
 * @param {number} width
 */
function typed({ lines, instead, before = ":" }, width) {
  const setup = `stty cols ${width} rows 100; export TERM=xterm-256color; vfio() { ${command} "$@"; }; ${before}`;
  const shown = lines.map((line) => `printf '\\033[1;32m$\\033[0m %s\\n' ${quote(line)}; ${instead ?? line}`);
  return `script -qec ${quote([setup, shown.join("; echo; ")].join("; "))} /dev/null </dev/null`;
}

/** @param {string} name @param {readonly string[]} args @param {NodeJS.ProcessEnv} env */
async function outputOf(name, args, env = process.env) {
  const child = spawn(name, args, { cwd: root, env, stdio: ["ignore", "pipe", "inherit"] });
  let output = "";
  for await (const chunk of child.stdout.setEncoding("utf8")) output += chunk;
  return output;
}

const PALETTE = [
  ...["#6e7681", "#ff7b72", "#56d364", "#e3b341", "#79c0ff", "#d2a8ff", "#56d4dd", "#d0d7de"],
  ...["#8b949e", "#ffa198", "#7ee787", "#f2cc60", "#a5d6ff", "#e2c5ff", "#b3f0ff", "#ffffff"],
];
const FOREGROUND = "#e6edf3";
const BACKGROUND = "#161b22";
const SIZE = 14;
const CELL = 8.4;
const LINE = 19;
const EDGE = 16;

/** @param {string} text */
const inXml = (text) => text.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;");

/**
 * What a terminal shows, as SVG: a line of text for each line, a piece of it for each style.
 *
 * @param {string} output
 * @param {number} width
 * @param {string} title
 */
async function picture(output, width, title) {
  const terminal = new xterm.Terminal({ cols: width, rows: 200, allowProposedApi: true });
  await new Promise((resolve) => terminal.write(output, () => resolve(undefined)));
  const { active: buffer } = terminal.buffer;
  let rows = 200;
  while (rows > 1 && buffer.getLine(rows - 1)?.translateToString(true) === "") rows--;
  const lines = Array.from({ length: rows }, (_, row) => {
    const line = buffer.getLine(row);
    /** @type {{ style: string, text: string, column: number, cells: number }[]} */
    const pieces = [];
    for (let column = 0; column < width; column++) {
      const cell = line?.getCell(column);
      if (cell === undefined || cell.getWidth() === 0) continue;
      const color = cell.isFgPalette() ? PALETTE[cell.getFgColor()] : FOREGROUND;
      const style = [
        `fill="${color}"`,
        cell.isBold() ? ' font-weight="bold"' : "",
        cell.isDim() ? ' opacity="0.65"' : "",
        cell.isItalic() ? ' font-style="italic"' : "",
      ].join("");
      const text = cell.getChars() || " ";
      const last = pieces.at(-1);
      if (last?.style === style) {
        last.text += text;
        last.cells += cell.getWidth();
      } else pieces.push({ style, text, column, cells: cell.getWidth() });
    }
    const y = EDGE + LINE * row + SIZE;
    return pieces
      .flatMap((piece) => {
        // Each word at its place, so that columns stand whatever font there is.
        return [...piece.text.matchAll(/\S+(?: \S+)*/g)].map(({ 0: text, index }) => {
          const x = (EDGE + (piece.column + index) * CELL).toFixed(1);
          const length = ([...text].length * CELL).toFixed(1);
          return `<text x="${x}" y="${y}" ${piece.style} textLength="${length}">${inXml(text)}</text>`;
        });
      })
      .join("\n");
  });
  terminal.dispose();
  const [w, h] = [Math.ceil(2 * EDGE + width * CELL), 2 * EDGE + rows * LINE];
  return `<svg xmlns="http://www.w3.org/2000/svg" width="${w}" height="${h}" viewBox="0 0 ${w} ${h}" role="img">
<title>${inXml(title)}</title>
<rect width="${w}" height="${h}" rx="8" fill="${BACKGROUND}"/>
<g font-family="ui-monospace, SFMono-Regular, Menlo, Consolas, 'DejaVu Sans Mono', monospace" font-size="${SIZE}" xml:space="preserve">
${lines.filter((line) => line !== "").join("\n")}
</g>
</svg>
`;
}

/** @param {Screen} screen @param {number} width @param {string} output */
async function keep({ name, lines }, width, output) {
  const file = new URL(`${name}-${width}.svg`, import.meta.url);
  await writeFile(file, await picture(output, width, lines.join("; ")));
  process.stderr.write(`${name}, ${width} columns\n`);
}

// The same as anybody's: not what this shell happens to have set.
const env = { ...process.env, FORCE_COLOR: undefined, NO_COLOR: undefined, CI: undefined, NODE_OPTIONS: undefined };
for (const screen of here.filter(wanted)) {
  for (const width of screen.widths) {
    await keep(screen, width, await outputOf("sh", ["-c", typed(screen, width)], env));
  }
}
const guest = inGuest.filter(wanted).flatMap((screen) => screen.widths.map((width) => ({ screen, width })));
if (guest.length > 0) {
  const MARK = "\u0001next\u0001\n";
  const { VFIO_PCI_IDS: ids } = process.env;
  const names = ids === undefined ? "" : `mkdir -p /usr/share/misc; cp ${quote(ids)} /usr/share/misc/pci.ids; `;
  const script =
    names + guest.map(({ screen, width }) => typed(screen, width)).join(`; printf '${MARK.replace("\n", "\\n")}'; `);
  const all = await outputOf(process.execPath, [`${root}dist/cli/main.js`, "rig", "--", "sh", "-c", script], env);
  const outputs = all.split(MARK);
  for (const [index, { screen, width }] of guest.entries()) await keep(screen, width, outputs[index] ?? "");
}
