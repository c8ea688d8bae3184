// Compares our description of the kernel interface (native/uapi/*.h, and lib/kernel/uapi.ts) with a kernel's own headers. The names come from
// the headers' text; the values never do: two programs print them, one compiled with each side's headers, because the
// names of one are macros of the other.
import { spawnSync } from "node:child_process";
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { fetchNewestHeaders } from "./kernel-headers.mjs";

// The kernel whose interface native/uapi describes. From this version on a header must have exactly our names; an
// older one may lack some.
const DESCRIBED = { major: 7, minor: 3 };

const HEADERS = [
  { ours: "native/uapi/vfio.h", kernel: "linux/vfio.h" },
  { ours: "native/uapi/iommufd.h", kernel: "linux/iommufd.h" },
  // Of KVM only what a device's interrupts need: what the kernel has beyond that is no difference.
  { ours: "native/uapi/kvm.h", kernel: "linux/kvm.h", includes: ["asm/kvm.h"], partial: true },
];

// What the kernel has and we leave out, and why. Everything else that a kernel adds must be added to native/uapi.
const LEFT_OUT = [
  { reason: "POWER (sPAPR) containers", names: /^(VFIO_IOMMU_SPAPR_|vfio_iommu_spapr_)|^VFIO_IOMMU_(ENABLE|DISABLE)$/ },
  { reason: "POWER error handling (EEH)", names: /^(VFIO_EEH_PE_|vfio_eeh_pe_)/ },
  { reason: "s390 channel I/O and adjunct processors", names: /^VFIO_(CCW|AP|REGION_SUBTYPE_CCW)_/ },
  {
    reason: "migration v1, withdrawn from the kernel",
    names:
      /^VFIO_DEVICE_STATE_(V1_|(MASK|VALID|IS_ERROR|SET_ERROR)$)|^vfio_device_migration_info$|^VFIO_REGION_SUBTYPE_MIGRATION_DEPRECATED$/,
  },
  {
    reason: "NVLink, withdrawn from the kernel",
    names: /^VFIO_REGION_(INFO_CAP|SUBTYPE_(NVIDIA|IBM))_NVLINK2_|^vfio_region_info_cap_nvlink2_/,
  },
  { reason: "nesting container, reserved and never usable", names: /^__VFIO_RESERVED_TYPE1_NESTING_IOMMU$/ },
];

const root = resolve(import.meta.dirname, "..");
const compiler = process.env.CXX || "g++";

function compileAndRun(directory, name, source, flags) {
  const file = join(directory, `${name}.cc`);
  const program = join(directory, name);
  writeFileSync(file, source);
  for (const [command, args] of [
    [compiler, ["-std=gnu++20", "-w", ...flags, "-o", program, file]],
    [program, []],
  ]) {
    const { error, status, stdout, stderr } = spawnSync(command, args, { encoding: "utf8" });
    if (error || status !== 0)
      throw new Error(
        `${command} failed on ${name} headers:\n${error?.message ?? stderr.split("\n").slice(0, 12).join("\n")}`,
      );
    if (command === program) return stdout;
  }
}

// ---- What a header declares: the names of its constants, and its structures with their members.

function parseHeader(file, wantedStructure = () => true) {
  const text = readFileSync(file, "utf8")
    .replace(/\/\*[\s\S]*?\*\//g, " ")
    .replace(/\/\/.*/g, "")
    .replace(/\\\n/g, " ");
  const constants = new Set();
  const functionMacros = new Set();
  for (const [, name, call, value] of text.matchAll(/^[ \t]*#[ \t]*define[ \t]+(\w+)(\()?(.*)$/gm)) {
    if (call) functionMacros.add(name);
    else if (value.trim() !== "") constants.add(name);
  }
  const code = text.replace(/^[ \t]*#.*$/gm, "");
  for (const [, name] of code.matchAll(/\binline constexpr [\w: ]+?(\w+)(?:\[\])?\s*=/g)) constants.add(name);
  for (const [, body] of code.matchAll(/\benum\b[^{;]*\{([^}]*)\}/g)) {
    for (const [, name] of body.matchAll(/(?:^|,)\s*(\w+)/g)) constants.add(name);
  }
  const structures = new Map();
  for (const match of code.matchAll(/\bstruct\s+(\w+)\s*\{/g)) {
    if (!wantedStructure(match[1])) continue;
    structures.set(match[1], parseMembers(match[1], bodyAt(code, match.index + match[0].length)));
  }
  return { constants, functionMacros, structures };
}

// From behind an opening brace to before the one that closes it.
function bodyAt(code, start) {
  let depth = 1;
  let end = start;
  while (depth > 0 && end < code.length) {
    if (code[end] === "{") depth += 1;
    if (code[end] === "}") depth -= 1;
    end += 1;
  }
  return code.slice(start, end - 1);
}

// Anonymous unions and structures are flattened: their members are named as the structure's own. A nested one that has a
// name is one member. A trailing array is kept apart, because ours has none.
function parseMembers(structure, body) {
  const members = [];
  let trailing;
  const named = body
    .replace(/\b(?:union|struct)\s*\{[^{}]*\}\s*(\w+)\s*;/g, "named $1;")
    .replace(/\b__DECLARE_FLEX_ARRAY\([\w ]+, (\w+)\)/g, "named $1[]");
  const flat = named.replace(/\b(?:union|struct)\s*\{/g, "").replaceAll("}", "");
  for (const declaration of flat.split(";").map((part) => part.trim().replace(/\s+/g, " "))) {
    if (declaration === "") continue;
    const match =
      /^(?:struct |enum )?[\w:]+(?: \*|\* | )(?:__user )?\*?(\w+) ?(\[[^\]]*\])?(?: __counted_by\(\w+\))?$/.exec(
        declaration,
      );
    if (!match) throw new Error(`.ci/check-uapi.mjs cannot read this member of struct ${structure}: "${declaration}"`);
    if (match[2] === "[]" || match[2] === "[0]") trailing = match[1];
    else members.push(match[1]);
  }
  return { members, trailing };
}

// ---- What a header means: each name's value, as printed by a program that includes it.

function leftOut(name) {
  return LEFT_OUT.find(({ names }) => names.test(name));
}

// Numbers are compared as the 32 or 64 bits that go to the kernel: (1 << 31) and -1 are signed in its headers only.
const PRINTER = `
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <type_traits>

template <typename T>
void constant(const char* name, T value) {
  if constexpr (std::is_enum_v<T>) {
    constant(name, static_cast<std::underlying_type_t<T>>(value));
  } else if constexpr (std::is_integral_v<T>) {
    const std::uint64_t bits = sizeof(T) <= 4 ? std::uint64_t{static_cast<std::uint32_t>(value)} : value;
    std::printf("%s\\t%#llx\\n", name, static_cast<unsigned long long>(bits));
  } else {
    std::printf("%s\\t\\"%s\\"\\n", name, value);
  }
}

template <typename Member>
void member(const char* name, std::size_t offset, std::size_t size) {
  const bool negative = std::is_signed_v<std::remove_all_extents_t<Member>>;
  std::printf("%s\\toffset %zu, size %zu%s\\n", name, offset, size, negative ? ", signed" : "");
}
`;

function printer(include, names, { constants, structures }) {
  const lines = [];
  for (const name of constants) lines.push(`constant("${name}", ${name});`);
  for (const [name, { members, trailing }] of structures) {
    lines.push(`std::printf("struct ${name}\\tsize %zu\\n", sizeof(${name}));`);
    for (const field of members) {
      lines.push(
        `member<decltype(${name}::${field})>("${name}.${field}", offsetof(${name}, ${field}), sizeof(${name}::${field}));`,
      );
    }
    if (trailing) {
      lines.push(`std::printf("trailing ${name}.${trailing}\\toffset %zu\\n", offsetof(${name}, ${trailing}));`);
    }
  }
  return `#include ${include}\n${PRINTER}\n${names}\nint main() {\n${lines.join("\n")}\n}\n`;
}

function valuesOf(directory, side, source, flags) {
  const output = compileAndRun(directory, side, source, flags);
  const values = new Map();
  for (const line of output.trimEnd().split("\n")) {
    const [name, value] = line.split("\t");
    values.set(name, value);
  }
  return values;
}

// ---- The comparison of one header.

// Before Linux 6.5 this macro's empty structure, which has a size in C++ only, moved the array.
const FLEXIBLE_ARRAYS = `
#include <linux/stddef.h>
#undef __DECLARE_FLEX_ARRAY
#define __DECLARE_FLEX_ARRAY(T, member) T member[0]
`;

// A header that an old kernel does not have at all.
const NOTHING = { constants: new Set(), functionMacros: new Set(), structures: new Map() };

// Everything that a kernel's header declares, or, of one that we describe in part, everything that ours declares too.
function parseKernel(header, includes, ours) {
  const find = (name) => includes.map((directory) => join(directory, name)).find(existsSync) ?? join(includes[0], name);
  if (!header.partial) return parseHeader(find(header.kernel));
  const part = { constants: new Set(), functionMacros: new Set(), structures: new Map() };
  for (const name of [header.kernel, ...header.includes]) {
    const { constants, structures } = parseHeader(find(name), (structure) => ours.structures.has(structure));
    for (const constant of constants) if (ours.constants.has(constant)) part.constants.add(constant);
    for (const [structure, members] of structures) part.structures.set(structure, members);
  }
  return part;
}

function compare(header, kernelFlags, kernelIncludes, older) {
  const directory = mkdtempSync(join(tmpdir(), "check-uapi-"));
  try {
    const ours = parseHeader(join(root, header.ours));
    const absentThere = !kernelIncludes.some((directory) => existsSync(join(directory, header.kernel)));
    const kernel = older && absentThere ? NOTHING : parseKernel(header, kernelIncludes, ours);
    const counted = { constants: ours.constants.size, structures: ours.structures.size, members: 0 };
    for (const { members } of ours.structures.values()) counted.members += members.length;

    const skipped = new Map(LEFT_OUT.map(({ reason }) => [reason, 0]));
    const wanted = (name) => {
      const entry = ours.constants.has(name) || ours.structures.has(name) ? undefined : leftOut(name);
      if (entry) skipped.set(entry.reason, skipped.get(entry.reason) + 1);
      return !entry;
    };
    const functionMacros = [...kernel.functionMacros].filter(wanted);
    const theirs = {
      constants: new Set([...kernel.constants].filter(wanted)),
      structures: new Map([...kernel.structures].filter(([name]) => wanted(name))),
    };
    const ourSource = printer(`"${header.ours}"`, "using namespace vfio::uapi;", ours);
    const ourValues = valuesOf(directory, "our", ourSource, ["-I", root]);
    const kernelSource = FLEXIBLE_ARRAYS + printer(`<${header.kernel}>`, "", theirs);
    const kernelValues = kernel === NOTHING ? new Map() : valuesOf(directory, "kernel", kernelSource, kernelFlags);

    const errors = [];
    const absent = [];
    for (const [name, value] of ourValues) {
      const kernelValue = kernelValues.get(name);
      if (kernelValue === value) continue;
      if (kernelValue === undefined) {
        // A structure that is absent speaks for its members.
        const structure = name.includes(".") ? name.split(".")[0] : undefined;
        if (older && structure !== undefined && !kernel.structures.has(structure)) continue;
        if (older) absent.push(name);
        else errors.push(`not in the kernel's header: ${name} (ours: ${value}); renamed or withdrawn?`);
      } else if (older && grewSince(name, value, kernelValue)) {
        absent.push(`${name} (there: ${kernelValue}; ours: ${value})`);
      } else {
        errors.push(`mismatch: ${name} is ${value} in ours, ${kernelValue} in the kernel's header`);
      }
    }
    for (const [name, value] of kernelValues) {
      if (name.startsWith("trailing ")) {
        const structure = name.slice("trailing ".length).split(".")[0];
        const fixed = ourValues.get(`struct ${structure}`);
        if (fixed !== undefined && fixed !== value.replace("offset", "size")) {
          errors.push(`mismatch: ${name} begins at ${value}, but our struct ${structure} has ${fixed}`);
        }
      } else if (!ourValues.has(name) && !older) {
        errors.push(`missing in ours: ${name} (${value}): add it to ${header.ours}`);
      }
    }
    if (!older) {
      for (const name of functionMacros)
        errors.push(`missing in ours: ${name}(): add it to ${header.ours} as constexpr`);
    }
    return { counted, skipped, errors, absent, ourValues };
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
}

// Structures grow at their end, or take over what was reserved.
function grewSince(name, ours, theirs) {
  const size = (value) => Number(/size (\d+)/.exec(value)?.[1]);
  return name.startsWith("struct ") ? size(ours) > size(theirs) : /\.(__reserved\d*|reserved|pad)$/.test(name);
}

// ---- The numbers that TypeScript chooses among: the same names, with the values of our headers.

function compareTypeScript(file, ours) {
  const constants = [...readFileSync(join(root, file), "utf8").matchAll(/^export const (\w+) = (.+);$/gm)];
  const errors = [];
  for (const [, name, text] of constants) {
    const value = `0x${Number(text).toString(16)}`.replace(/^0x0$/, "0");
    if (ours.get(name) === value) continue;
    const expected = ours.has(name) ? `${ours.get(name)} in native/uapi` : "not in native/uapi";
    errors.push(`mismatch: ${name} is ${value} in ${file}, ${expected}`);
  }
  console.log(`${file}: ${constants.length} constants`);
  return errors;
}

// ---- The whole check.

function headersFromArguments(args) {
  if (args.length === 0) return fetchNewestHeaders();
  if (args.length === 2 && args[0] === "--headers") return { include: resolve(args[1]), origin: args[1], notes: [] };
  throw new Error("usage: .ci/check-uapi [--headers <dir>]");
}

function kernelVersion(include) {
  const text = readFileSync(join(include, "linux", "version.h"), "utf8");
  const code = Number(/LINUX_VERSION_CODE\s+(\d+)/.exec(text)?.[1]);
  if (!Number.isInteger(code)) throw new Error(`${include}/linux/version.h tells no version`);
  return { major: code >> 16, minor: (code >> 8) & 0xff, patch: code & 0xff };
}

function main() {
  const { include, origin, notes } = headersFromArguments(process.argv.slice(2));
  const { major, minor, patch } = kernelVersion(include);
  const older = major < DESCRIBED.major || (major === DESCRIBED.major && minor < DESCRIBED.minor);
  for (const note of notes) console.log(`note: ${note}`);
  console.log(`kernel headers: Linux ${major}.${minor}.${patch} (${origin})`);

  // Debian keeps <asm/...> in a directory of the architecture's own; headers_install does not.
  const multiarch = spawnSync(compiler, ["-print-multiarch"], { encoding: "utf8" }).stdout?.trim() ?? "";
  const includes = [include, join(include, multiarch)].filter(existsSync);
  const flags = includes.flatMap((path) => ["-isystem", path]);

  const errors = [];
  const absent = [];
  const skipped = new Map();
  const ours = new Map();
  for (const header of HEADERS) {
    const result = compare(header, flags, includes, older);
    const { constants, structures, members } = result.counted;
    console.log(`${header.ours}: ${constants} constants, ${structures} structures with ${members} members`);
    errors.push(...result.errors);
    absent.push(...result.absent);
    for (const [name, value] of result.ourValues) ours.set(name, value);
    for (const [reason, count] of result.skipped) skipped.set(reason, (skipped.get(reason) ?? 0) + count);
  }
  errors.push(...compareTypeScript("lib/kernel/uapi.ts", ours));
  const list = [...skipped].filter(([, count]) => count > 0).map(([reason, count]) => `${reason}: ${count}`);
  console.log(`left out on purpose: ${list.join("; ")}`);
  for (const error of errors) console.log(error);
  if (absent.length > 0) {
    console.log(
      `not in this header (Linux ${major}.${minor}, older than the ${DESCRIBED.major}.${DESCRIBED.minor} described):`,
    );
    for (const name of absent) console.log(`  ${name}`);
  }
  console.log(errors.length === 0 ? "ok" : `${errors.length} difference${errors.length === 1 ? "" : "s"}`);
  return errors.length === 0 ? 0 : 1;
}

try {
  process.exitCode = main();
} catch (error) {
  console.error(`check-uapi: ${error instanceof Error ? error.message : error}`);
  process.exitCode = 2;
}
