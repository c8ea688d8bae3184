// The newest kernel headers that this machine's Debian mirror offers, without touching the machine: apt runs with a
// state of its own, and the package is unpacked into a cache, not installed. Needs no privileges.
import { spawnSync } from "node:child_process";
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { homedir } from "node:os";
import { join } from "node:path";

const PACKAGE = "linux-libc-dev";

// Where the newest kernels are: a backport is newer than the release it is made for, and a machine may itself be on
// something newer than any backport. The alias is what keeps this right after the next Debian release; the names serve
// mirrors that carry no aliases, or stale ones.
const BACKPORTS = ["stable-backports", "trixie-backports", "bookworm-backports"];
const BEHIND_BACKPORTS = /^(oldstable|bookworm|stable|trixie)$/;
const AHEAD_OF_BACKPORTS = /^(testing|unstable|sid)$/;

// Runs apt or dpkg, with messages that can be read back. Gives the exit code and both outputs.
function run(command, args, options = {}) {
  const { error, status, stdout, stderr } = spawnSync(command, args, {
    encoding: "utf8",
    env: { ...process.env, LC_ALL: "C" },
    ...options,
  });
  if (error)
    throw new Error(`${command} cannot be run (${error.code}): this needs a Debian machine, or --headers <dir>`);
  return { ok: status === 0, stdout, stderr };
}

// One-line format: deb [option=value ...] uri suite component...
function readListFile(text) {
  const sources = [];
  for (const line of text.split("\n")) {
    const match = /^\s*deb\s+(?:\[([^\]]*)\]\s*)?(\S+)\s+(\S+)\s+([^#]*)/.exec(line);
    if (!match) continue;
    const [, options = "", uri, suite, components] = match;
    sources.push({
      uris: [uri],
      suites: [suite],
      components: components.trim().split(/\s+/),
      signedBy: /(?:^|\s)signed-by=(\S+)/i.exec(options)?.[1] ?? "",
    });
  }
  return sources;
}

// deb822 format: stanzas of "Field: value" with indented continuation lines (a key may be written out in Signed-By).
function readSourcesFile(text) {
  const sources = [];
  const stanzas = text.replace(/^#.*\n?/gm, "").split(/\n\s*\n/);
  for (const stanza of stanzas) {
    const field = (name) => new RegExp(`^${name}:((?:.*)(?:\\n[ \\t]+.*)*)`, "im").exec(stanza)?.[1].trim() ?? "";
    const words = (name) => field(name).split(/\s+/);
    if (!words("Types").includes("deb") || /^(no|false|off|0)$/i.test(field("Enabled"))) continue;
    sources.push({
      uris: words("URIs"),
      suites: words("Suites"),
      components: words("Components"),
      signedBy: field("Signed-By"),
    });
  }
  return sources;
}

// The machine's mirrors of Debian's own archive, each with the releases that the machine takes from it: `main` of a
// suite that is named as a release is (other repositories may name theirs alike: they only lack the package).
function debianMirrors() {
  const { stdout } = run("apt-config", ["shell", "LIST", "Dir::Etc::sourcelist/f", "PARTS", "Dir::Etc::sourceparts/d"]);
  const list = /^LIST='(.*)'$/m.exec(stdout)?.[1] ?? "/etc/apt/sources.list";
  const parts = /^PARTS='(.*)'$/m.exec(stdout)?.[1] ?? "/etc/apt/sources.list.d/";
  const files = existsSync(parts) ? readdirSync(parts).map((name) => join(parts, name)) : [];
  const sources = [list, ...files.sort()].filter(existsSync).flatMap((file) => {
    if (file.endsWith(".sources")) return readSourcesFile(readFileSync(file, "utf8"));
    if (file.endsWith(".list")) return readListFile(readFileSync(file, "utf8"));
    return [];
  });
  const codename = /^VERSION_CODENAME=(\w+)/m.exec(readFileSync("/etc/os-release", "utf8"))?.[1];
  const isRelease = (suite) => suite === codename || BEHIND_BACKPORTS.test(suite) || AHEAD_OF_BACKPORTS.test(suite);
  const mirrors = new Map();
  for (const { uris, suites, components, signedBy } of sources) {
    const releases = suites.filter(isRelease);
    if (!components.includes("main") || releases.length === 0) continue;
    for (const uri of uris.map((word) => word.replace(/\/*$/, "/"))) {
      // apt refuses one address with two keyrings, so the first one stands for all.
      const known = mirrors.get(uri) ?? { uri, suites: [], signedBy };
      mirrors.set(uri, { ...known, suites: [...known.suites, ...releases] });
    }
  }
  return [...mirrors.values()];
}

// A configuration which is read after the machine's: private directories, and none of the hooks that the machine runs
// when its own lists change.
function writeAptState(directory, mirrors) {
  for (const name of ["lists/partial", "cache/archives/partial", "parts", "preferences"]) {
    mkdirSync(join(directory, name), { recursive: true });
  }
  const stanzas = mirrors.map(({ uri, suites, signedBy }) => {
    const key = signedBy ? `Signed-By: ${signedBy}\n` : "";
    return `Types: deb\nURIs: ${uri}\nSuites: ${suites.join(" ")}\nComponents: main\nTargets: Packages\n${key}`;
  });
  writeFileSync(join(directory, "parts", "debian.sources"), stanzas.join("\n"));
  const configuration = `
#clear APT::Update::Pre-Invoke;
#clear APT::Update::Post-Invoke;
#clear APT::Update::Post-Invoke-Success;
APT::Sandbox::User "root";
Acquire::Languages "none";
Acquire::Retries "3";
Dir::Etc::SourceList "/dev/null";
Dir::Etc::SourceParts "${directory}/parts";
Dir::Etc::Preferences "/dev/null";
Dir::Etc::PreferencesParts "${directory}/preferences";
Dir::State "${directory}";
Dir::State::Lists "${directory}/lists";
Dir::State::Status "/dev/null";
Dir::Cache "${directory}/cache";
`;
  const file = join(directory, "apt.conf");
  writeFileSync(file, configuration);
  return file;
}

// The package's newest version in these suites. A suite that the mirror lacks is no failure, but it is said.
function newestVersion(configuration) {
  const update = run("apt-get", ["-c", configuration, "-qq", "update"]);
  const notes = update.stderr.split("\n").filter((line) => line.startsWith("E: ") || /^W: Failed/.test(line));
  // Lines of "name | version | place", newest version first.
  const { stdout } = run("apt-cache", ["-c", configuration, "madison", PACKAGE]);
  const [, version, place] =
    stdout
      .split("\n")[0]
      ?.split("|")
      .map((word) => word.trim()) ?? [];
  return { version, suite: place?.split(" ")[1]?.split("/")[0], notes };
}

function unpack(configuration, directory, version, target) {
  const download = run("apt-get", ["-c", configuration, "-qq", "download", `${PACKAGE}=${version}`], {
    cwd: directory,
  });
  const archive = readdirSync(directory).find((name) => name.endsWith(".deb"));
  if (!download.ok || !archive) throw new Error(`${PACKAGE} ${version} was not downloaded: ${download.stderr.trim()}`);
  const unpacked = join(directory, "unpacked");
  const extract = run("dpkg-deb", ["-x", join(directory, archive), unpacked]);
  if (!extract.ok) throw new Error(`${archive} was not unpacked: ${extract.stderr.trim()}`);
  // Renamed when it is complete, so that the cache never holds half of it; another run may have been quicker.
  try {
    renameSync(unpacked, target);
  } catch (error) {
    if (!existsSync(target)) throw error;
  }
}

/** Fetches the headers unless the cache has them. Gives their directory, origin in words, and the mirror's refusals. */
export function fetchNewestHeaders() {
  const cache = join(process.env.XDG_CACHE_HOME || join(homedir(), ".cache"), "vfio-uapi");
  mkdirSync(cache, { recursive: true });
  const mirrors = debianMirrors();
  if (mirrors.length === 0) {
    throw new Error("this machine's apt sources name no Debian release (component main): use --headers <dir>");
  }
  const withSuites = (choose) => mirrors.map((mirror) => ({ ...mirror, suites: [...new Set(choose(mirror.suites))] }));
  const tries = [
    withSuites((own) => [...own.filter((suite) => !BEHIND_BACKPORTS.test(suite)), ...BACKPORTS]),
    withSuites((own) => ["trixie", ...own]),
  ];
  const notes = [];
  for (const attempt of tries) {
    const directory = mkdtempSync(join(cache, "apt-"));
    try {
      const configuration = writeAptState(directory, attempt);
      const newest = newestVersion(configuration);
      notes.push(...newest.notes);
      if (!newest.version) continue;
      const target = join(cache, newest.version);
      if (!existsSync(target)) unpack(configuration, directory, newest.version, target);
      return {
        include: join(target, "usr", "include"),
        origin: `${PACKAGE} ${newest.version} of ${newest.suite}`,
        notes,
      };
    } finally {
      rmSync(directory, { recursive: true, force: true });
    }
  }
  throw new Error(`this machine's mirror offers no ${PACKAGE}:\n  ${notes.join("\n  ")}`);
}
