/**
 * Debian's packages, without touching the machine's own configuration: the machine's apt sources are read, the suites
 * that are missing are derived from them, and both go into a private apt state.
 *
 * No mirror is named here. Whatever serves this machine's packages serves the rig's.
 *
 * @module
 */
import { mkdir, readdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";

/** One source of packages, as apt's deb822 format has it (sources.list(5)). */
export interface AptSource {
  /** `http://.../debian`, `mirror+file:...`, ... */
  readonly uri: string;
  /** `bookworm`, `bookworm-updates`, ... */
  readonly suite: string;
  /** `main`, `contrib`, ... */
  readonly components: readonly string[];
  /** What apt should trust: a keyring's path or a key block, and the like, by deb822 field name. */
  readonly trust: Readonly<Record<string, string>>;
}

const trustFields = ["Signed-By", "Trusted", "Check-Valid-Until", "Allow-Insecure"];

function trustOf(fields: Readonly<Record<string, string | undefined>>): Record<string, string> {
  const trust: Record<string, string> = {};
  for (const name of trustFields) {
    const value = fields[name.toLowerCase()];
    if (value !== undefined) trust[name] = value;
  }
  return trust;
}

/** Read a `.list` file: one line a source, options in brackets. Only binary packages' sources count. */
export function parseSourcesList(text: string): AptSource[] {
  const sources: AptSource[] = [];
  for (const line of text.split("\n")) {
    const match = /^\s*deb\s+(?:\[([^\]]*)\]\s+)?(\S+)\s+(\S+)((?:\s+[^\s#]+)*)/.exec(line);
    if (match === null) continue;
    const [, options = "", uri = "", suite = "", components = ""] = match;
    const fields: Record<string, string> = {};
    for (const option of options.split(/\s+/)) {
      const [name, value] = option.split(/=(.*)/s);
      if (name !== undefined && value !== undefined) fields[name.toLowerCase()] = value;
    }
    sources.push({ uri, suite, components: components.split(/\s+/).filter(Boolean), trust: trustOf(fields) });
  }
  return sources;
}

/** Read a deb822 `.sources` file: stanzas of fields, whose continuation lines are indented. */
export function parseDeb822Sources(text: string): AptSource[] {
  const sources: AptSource[] = [];
  // A comment line is no part of anything, wherever it stands; an empty line ends a stanza.
  const lines = text.split("\n").filter((line) => !line.startsWith("#"));
  for (const stanza of lines.join("\n").split(/\n\s*\n/)) {
    const fields: Record<string, string> = {};
    let current: string | undefined;
    for (const line of stanza.split("\n")) {
      const match = /^([\w-]+):\s*(.*)$/.exec(line);
      if (match !== null) {
        const [, name = "", value = ""] = match;
        current = name.toLowerCase();
        fields[current] = value.trimEnd();
      } else if (current !== undefined && /^[ \t]/.test(line)) {
        fields[current] += `\n${line.trimEnd()}`;
      }
    }
    const words = (name: string) => (fields[name] ?? "").split(/\s+/).filter(Boolean);
    if (!words("types").includes("deb") || /^(no|false|off|without|0)$/i.test(fields["enabled"] ?? "")) continue;
    for (const uri of words("uris")) {
      for (const suite of words("suites"))
        sources.push({ uri, suite, components: words("components"), trust: trustOf(fields) });
    }
  }
  return sources;
}

/**
 * All apt sources of a machine.
 *
 * @param directory apt's configuration directory
 */
export async function readSources(directory = "/etc/apt"): Promise<AptSource[]> {
  const parts = await readdir(join(directory, "sources.list.d")).catch(() => []);
  const paths = [
    join(directory, "sources.list"),
    ...parts.sort().map((name) => join(directory, "sources.list.d", name)),
  ];
  const sources: AptSource[] = [];
  for (const path of paths) {
    if (!/\.(list|sources)$/.test(path)) continue;
    const text = await readFile(path, "utf8").catch(() => "");
    sources.push(...(path.endsWith(".list") ? parseSourcesList(text) : parseDeb822Sources(text)));
  }
  return sources;
}

/**
 * The sources that the rig uses: the machine's own for its Debian release, and one for each other suite, from the mirror
 * that serves the release.
 *
 * @param sources the machine's sources
 * @param codename the machine's release: `bookworm`
 * @param suites the suites wanted beside it: `bookworm-backports`, `trixie-backports`
 * @returns undefined if none of the sources serves the release
 */
export function rigSources(
  sources: readonly AptSource[],
  codename: string,
  suites: readonly string[],
): AptSource[] | undefined {
  // A release goes by its name or by its place in line.
  const names = [codename, "stable", "oldstable", "oldoldstable", "testing", "unstable", "sid"];
  const serves = (name: string) => (source: AptSource) => source.suite === name && source.components.includes("main");
  const main = names.map((name) => sources.find(serves(name))).find((source) => source !== undefined);
  if (main === undefined) return undefined;
  const own = sources.filter(({ suite }) => suite === main.suite || suite.startsWith(`${main.suite}-`));
  const missing = suites.filter((name) => !own.some(({ suite }) => suite === name));
  return [...own, ...missing.map((suite) => ({ ...main, suite, components: ["main"] }))];
}

/** The text of a deb822 `.sources` file. */
export function formatSources(sources: readonly AptSource[]): string {
  return sources
    .map(({ uri, suite, components, trust }) =>
      [
        "Types: deb",
        `URIs: ${uri}`,
        `Suites: ${suite}`,
        `Components: ${components.join(" ")}`,
        ...Object.entries(trust).map(([name, value]) => `${name}: ${value}`),
        "",
      ].join("\n"),
    )
    .join("\n");
}

/**
 * Make a private apt state: its own sources, package lists and archives; the installed packages are the machine's.
 *
 * @param directory where it lives; it is made if need be
 * @returns the options for `apt-get` and `apt-cache`
 */
export async function makeAptState(directory: string, sources: readonly AptSource[]): Promise<string[]> {
  const parts = join(directory, "sources.d");
  const lists = join(directory, "lists");
  const cache = join(directory, "cache");
  for (const path of [parts, join(lists, "partial"), join(cache, "archives", "partial")]) {
    await mkdir(path, { recursive: true });
  }
  await writeFile(join(parts, "rig.sources"), formatSources(sources));
  const options = {
    "Dir::Etc::sourcelist": "/dev/null",
    "Dir::Etc::sourceparts": parts,
    "Dir::State::lists": lists,
    "Dir::Cache": cache,
    // The state may lie in a home directory that apt's own unprivileged user cannot enter.
    "APT::Sandbox::User": "root",
  };
  return Object.entries(options).flatMap(([name, value]) => ["-o", `${name}=${value}`]);
}
