/**
 * Makes few files of many modules: `node .ci/package/bundle.mjs`, after `npm run build:ts`.
 *
 * To import a hundred modules takes Node some 55 ms, to import one that is as long takes 20: a process that is replaced
 * (`execInPlace`) is back sooner by the difference, and so is every command.
 *
 * ```text
 *  dist/index.js             exports what it did from   dist/core/all.js   the library
 *  dist/kvm/index.js                               "    dist/kvm/all.js   what KVM needs beside the library; so each other entry
 *  dist/trace/preload.js     imports                    dist/trace/all.js what `vfio trace` loads into a program
 *  dist/cli/main.js                                "    dist/cli/all.js   the command
 * ```
 *
 * Each module that was there still is, and exports what it did: a class is the same one by whichever path it is imported. Nothing is
 * squeezed: it is to be read in a debugger.
 */
import { mkdirSync, readFileSync, renameSync, rmSync } from "node:fs";
import { dirname, isAbsolute, join, relative } from "node:path";
import { fileURLToPath } from "node:url";
import { rolldown } from "rolldown";

const root = fileURLToPath(new URL("../..", import.meta.url));
const dist = join(root, "dist");
/**
 * The rooms that are entries, in the order of their dependencies: the file of a room takes in what its modules need and no file before
 * it has.
 */
const rooms = ["pci", "kvm", "vfio-user", "live-update", "rig"];
/** The entries that programs import, and the programs. */
const libraries = ["index.js", ...rooms.map((room) => `${room}/index.js`)];
const programs = ["cli/main.js", "cli/start.js", "trace/preload.js"];

/** @type {import("rolldown").InputOptions} */
const shared = { platform: "node", external: (id) => !id.startsWith(".") && !isAbsolute(id) };

/** The modules that some entries need, as paths within `dist`. */
async function needed(...entries) {
  const bundle = await rolldown({ input: entries.map((file) => join(dist, file)), ...shared });
  const { output } = await bundle.generate({ format: "esm" });
  await bundle.close();
  const ids = output.flatMap((chunk) => (chunk.type === "chunk" ? chunk.moduleIds : []));
  // Some are the bundler's own.
  return ids.filter((id) => isAbsolute(id)).map((id) => relative(dist, id));
}

if (readFileSync(join(dist, "index.js"), "utf8").includes('"./core/all.js"')) {
  console.error("dist is bundled already");
  process.exit(0);
}

const core = new Set(await needed("index.js"));
// In every process that is traced, also in those without the library: it must not bring the library along.
const tracer = new Set(await needed("trace/preload.js"));
const modules = await needed(...libraries, ...programs);

/** A file, and what goes into it: of the modules that no file before it has, those of a directory, with all that they need. */
const group = (name, priority, has) => ({ name, priority, test: (id) => has(relative(dist, id)) });
const within = (directory) => (path) => path.startsWith(`${directory}/`) && !programs.includes(path);
// Each is as deep as the modules in it that ask where they are.
const groups = [
  group("trace/all", 8, (path) => tracer.has(path) && !programs.includes(path)),
  group("core/all", 7, (path) => core.has(path)),
  ...[...rooms, "cli"].map((room, index, all) => group(`${room}/all`, all.length - index, within(room))),
];

const bundle = await rolldown({
  input: Object.fromEntries(modules.map((path) => [path.replace(/\.js$/, ""), join(dist, path)])),
  ...shared,
});
const unfinished = join(root, "build", "bundle");
const { output } = await bundle.write({
  dir: unfinished,
  cleanDir: true,
  format: "esm",
  entryFileNames: "[name].js",
  chunkFileNames: "[name].js",
  minifyInternalExports: false,
  codeSplitting: { groups },
});
await bundle.close();
for (const { fileName } of output) {
  mkdirSync(dirname(join(dist, fileName)), { recursive: true });
  renameSync(join(unfinished, fileName), join(dist, fileName));
  // It is about lines that are no longer there.
  rmSync(join(dist, `${fileName}.map`), { force: true });
}
// The compiler would write only what has changed since it last ran.
rmSync(join(root, "build", "tsconfig.tsbuildinfo"), { force: true });
