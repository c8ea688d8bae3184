/**
 * Holds what `npm pack` made to what is meant to be published: `node .ci/package/contents.mjs vfio-0.1.0.tgz [--all-prebuilds]`.
 * A file that no line below asks for fails, and so does a line that no file is for.
 */
import { execFileSync } from "node:child_process";
import { statSync } from "node:fs";

const [tarball, ...options] = process.argv.slice(2);
const megabytes = 3;

/** What is published, and what it is for. */
const expected = [
  [/^(package\.json|README\.md|CHANGELOG\.md|LICENSE)$/, "what npm shows"],
  [/^(CONTRIBUTING|SECURITY)\.md$/, "what the README refers to"],
  [/^docs\/[\w-]+\.(md|svg)$/, "the documents"],
  [/^docs\/screens\/[\w-]+\.svg$/, "their pictures"],
  [/^examples\/[\w-]+\.ts$/, "the example programs, as the documents show them"],
  [/^dist\/(?!examples\/|bench\/).+\.js(\.map)?$/, "the library, the rig and the command"],
  [/^dist\/cli\/main\.js$/, "the command"],
  [/^dist\/bench\/.+\.js(\.map)?$/, "vfio bench"],
  [/^bench\/floor\/[\w-]+\.[ch]$/, "the C programs that it compares with"],
  [/^dist\/examples\/.+\.js(\.map)?$/, "vfio demo"],
  [/^types\/.+\.d\.ts$/, "types"],
  [/^types\/index\.d\.ts$/, "types"],
  [/^lib\/rig\/(kernel\.config|init\.sh)$/, "what the rig makes its kernel and its guest of"],
  [/^lib\/rig\/bin\/vfio$/, "the command in the guest"],
  [/^native\/(uapi\/)?\w+\.(cc|h)$/, "the addon's sources"],
  [/^native\/node-addon-api\/(napi.*\.h|LICENSE\.md)$/, "headers to build them with"],
  [/^(native\/(binding\.gyp|build-addon\.mjs))$/, "the build of the addon"],
  [/^prebuilds\/linux-x64\/vfio\.glibc\.node$/, "a prebuilt addon"],
];
const otherPrebuilds = ["x64/vfio.musl", "arm64/vfio.glibc", "arm64/vfio.musl"].map(
  (name) => `prebuilds/linux-${name}.node`,
);

const files = execFileSync("tar", ["-tzf", tarball], { encoding: "utf8" })
  .split("\n")
  .filter((line) => line !== "" && !line.endsWith("/"))
  .map((line) => line.replace(/^package\//, ""));

const errors = [
  ...files
    .filter((file) => !otherPrebuilds.includes(file) && !expected.some(([pattern]) => pattern.test(file)))
    .map((file) => `${file} is not meant to be published`),
  ...expected
    .filter(([pattern]) => !files.some((file) => pattern.test(file)))
    .map(([pattern, what]) => `nothing is there for ${what}: ${pattern}`),
  ...(options.includes("--all-prebuilds") ? otherPrebuilds : [])
    .filter((file) => !files.includes(file))
    .map((file) => `${file} is missing`),
];
const { size } = statSync(tarball);
if (size > megabytes * 1e6) errors.push(`${size} bytes: more than ${megabytes} MB`);

for (const error of errors) console.error(error);
console.log(`${files.length} files, ${(size / 1e6).toFixed(2)} MB packed`);
process.exitCode = errors.length === 0 ? 0 : 1;
