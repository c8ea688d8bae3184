import { mkdir, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import {
  formatSources,
  makeAptState,
  parseDeb822Sources,
  parseSourcesList,
  readSources,
  rigSources,
} from "../../../lib/rig/apt.js";

const mirror = "http://mirror.example/debian";

describe("a .list file", () => {
  test("has one source a line, with options in brackets", () => {
    const text = `# the mirror
deb ${mirror} bookworm main contrib # comment
deb [ arch=amd64,arm64 signed-by=/usr/share/keyrings/debian-archive-keyring.gpg ] ${mirror} bookworm-updates main
deb-src ${mirror} bookworm main
#deb ${mirror} bookworm-backports main

	deb [trusted=yes]   mirror+file:/etc/apt/mirrors/debian.list   bookworm-security   main`;
    expect(parseSourcesList(text)).toEqual([
      { uri: mirror, suite: "bookworm", components: ["main", "contrib"], trust: {} },
      {
        uri: mirror,
        suite: "bookworm-updates",
        components: ["main"],
        trust: { "Signed-By": "/usr/share/keyrings/debian-archive-keyring.gpg" },
      },
      {
        uri: "mirror+file:/etc/apt/mirrors/debian.list",
        suite: "bookworm-security",
        components: ["main"],
        trust: { Trusted: "yes" },
      },
    ]);
  });

  test("may have a flat repository, without components", () => {
    expect(parseSourcesList("deb file:/srv/packages ./")).toEqual([
      { uri: "file:/srv/packages", suite: "./", components: [], trust: {} },
    ]);
  });
});

describe("a deb822 file", () => {
  test("has stanzas with several suites and addresses", () => {
    const text = `Types: deb deb-src
# a comment within the stanza
URIs: ${mirror} http://second.example/debian
Suites: bookworm bookworm-updates
Components: main contrib
Signed-By: /usr/share/keyrings/debian-archive-keyring.gpg

# a stanza of nothing but a comment

types: deb
uris: http://security.example/debian-security
suites: bookworm-security
components: main
`;
    const trust = { "Signed-By": "/usr/share/keyrings/debian-archive-keyring.gpg" };
    const components = ["main", "contrib"];
    expect(parseDeb822Sources(text)).toEqual([
      { uri: mirror, suite: "bookworm", components, trust },
      { uri: mirror, suite: "bookworm-updates", components, trust },
      { uri: "http://second.example/debian", suite: "bookworm", components, trust },
      { uri: "http://second.example/debian", suite: "bookworm-updates", components, trust },
      { uri: "http://security.example/debian-security", suite: "bookworm-security", components: ["main"], trust: {} },
    ]);
  });

  test("leaves out what is disabled or has sources only", () => {
    const stanza = (more: string) => `${more}\nURIs: ${mirror}\nSuites: bookworm\nComponents: main\n`;
    expect(parseDeb822Sources(stanza("Types: deb\nEnabled: no"))).toEqual([]);
    expect(parseDeb822Sources(stanza("Types: deb-src"))).toEqual([]);
    expect(parseDeb822Sources(stanza("Types: deb\nEnabled: yes"))).toHaveLength(1);
  });

  test("may carry a key in place of a keyring's path, and comes out as it went in", () => {
    const key =
      "\n -----BEGIN PGP PUBLIC KEY BLOCK-----\n .\n mDMEY865UxYJKwYBBAHaRw8BAQdAd7Z0\n -----END PGP PUBLIC KEY BLOCK-----";
    const text = `Types: deb\nURIs: ${mirror}\nSuites: trixie\nComponents: main\nSigned-By:${key}\n`;
    const [source] = parseDeb822Sources(text);
    expect(source?.trust["Signed-By"]).toBe(key);
    expect(parseDeb822Sources(formatSources(source === undefined ? [] : [source]))).toEqual([source]);
  });
});

describe("the rig's sources", () => {
  const own = parseSourcesList(`deb [signed-by=/k] ${mirror} bookworm main contrib
deb http://security.example/debian-security bookworm-security main
deb http://other.example/tool stable main
deb http://other.example/other nodistro main`);

  test("are the machine's own for its release, and the missing suites from the same mirror", () => {
    const sources = rigSources(own, "bookworm", ["bookworm-backports", "trixie-backports"]);
    expect(sources?.map(({ uri, suite }) => `${uri} ${suite}`)).toEqual([
      `${mirror} bookworm`,
      "http://security.example/debian-security bookworm-security",
      `${mirror} bookworm-backports`,
      `${mirror} trixie-backports`,
    ]);
    expect(sources?.at(-1)).toMatchObject({ components: ["main"], trust: { "Signed-By": "/k" } });
  });

  test("name no suite twice", () => {
    const more = [...own, ...parseSourcesList(`deb ${mirror} bookworm-backports main`)];
    const suites = rigSources(more, "bookworm", ["bookworm-backports"])?.map(({ suite }) => suite);
    expect(suites?.filter((suite) => suite === "bookworm-backports")).toHaveLength(1);
  });

  test("are found when the release goes by its place in line", () => {
    const sources = rigSources(parseSourcesList(`deb ${mirror} stable main`), "trixie", ["trixie-backports"]);
    expect(sources?.map(({ suite }) => suite)).toEqual(["stable", "trixie-backports"]);
  });

  test("are none when nothing serves the release", () => {
    expect(
      rigSources(parseSourcesList("deb http://other.example/other nodistro main"), "bookworm", []),
    ).toBeUndefined();
  });
});

describe("on disk", () => {
  let directory: string;
  beforeEach(async () => {
    directory = await mkdtemp(join(tmpdir(), "vfio-apt-"));
  });
  afterEach(async () => await rm(directory, { recursive: true }));

  test("both kinds of files are read, and no others", async () => {
    await mkdir(join(directory, "sources.list.d"));
    await writeFile(join(directory, "sources.list"), "deb http://a.example a main\n");
    await writeFile(join(directory, "sources.list.d", "b.list"), "deb http://b.example b main\n");
    await writeFile(
      join(directory, "sources.list.d", "c.sources"),
      "Types: deb\nURIs: http://c.example\nSuites: c\nComponents: main\n",
    );
    await writeFile(join(directory, "sources.list.d", "d.list.disabled"), "deb http://d.example d main\n");
    expect((await readSources(directory)).map(({ suite }) => suite)).toEqual(["a", "b", "c"]);
  });

  test("a machine without apt has none", async () => {
    expect(await readSources(join(directory, "nothing"))).toEqual([]);
  });

  test("the private state holds the sources and stands apart from the machine's", async () => {
    const state = join(directory, "state");
    const options = await makeAptState(state, parseSourcesList(`deb ${mirror} bookworm main`));
    expect(await readFile(join(state, "sources.d", "rig.sources"), "utf8")).toBe(
      `Types: deb\nURIs: ${mirror}\nSuites: bookworm\nComponents: main\n`,
    );
    expect(options).toContain("Dir::Etc::sourcelist=/dev/null");
    expect(options).toContain(`Dir::State::lists=${join(state, "lists")}`);
  });
});
