/** The TypeScript in README.md and the documents compiles against the package; its whole programs are those that run elsewhere. */
import { mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join, relative } from "node:path";
import ts from "typescript";
import { afterAll, beforeAll, expect, test } from "vitest";
import { blocks, root } from "./blocks.js";

const code = blocks.filter(({ language }) => language === "ts" || language === "js");
const programs = code.filter(({ program }) => program !== undefined);
const given = join(root, "test/integration/docs/given.ts");

/** Within the package, so that its name means what it means to its users. */
const directory = join(root, "build/documents");
beforeAll(() => mkdirSync(directory, { recursive: true }));
afterAll(() => rmSync(directory, { recursive: true }));

const { config } = ts.readConfigFile(join(root, "tsconfig.json"), ts.sys.readFile);
// A fragment makes things that only the text around it uses.
const changes = {
  noEmit: true,
  incremental: false,
  declaration: false,
  noUnusedLocals: false,
  noUnusedParameters: false,
  rootDir: root,
};
for (const name of ["tsBuildInfoFile", "declarationDir"]) delete config.compilerOptions[name];
const { options: strict } = ts.parseJsonConfigFileContent(config, ts.sys, root, changes);

/** The names that a fragment may use without a word. */
function knownNames(): readonly string[] {
  const program = ts.createProgram([given], strict);
  const file = program.getSourceFile(given);
  const symbol = file && program.getTypeChecker().getSymbolAtLocation(file);
  return symbol === undefined
    ? []
    : program
        .getTypeChecker()
        .getExportsOfModule(symbol)
        .map(({ name }) => name);
}

/** A fragment with what it takes for granted, in the same lines. */
function complete(text: string, names: readonly string[]): string {
  const wanted = names.filter(
    (name) =>
      new RegExp(`(?<![.\\w"'])${name}\\b`).test(text) &&
      !new RegExp(`\\b(const|let|using|class|function) ${name}\\b`).test(text) &&
      !new RegExp(`^import [^;]*\\b${name}\\b[^;]*;`, "m").test(text),
  );
  const path = relative(directory, given).replace(/\.ts$/, ".js");
  // What is there for types only is erased, whether it says so or not: nothing of it runs.
  return `import { ${wanted.join(", ")} } from "${path}"; ${text}\nexport {};\n`;
}

test("every block compiles", { timeout: 60_000 }, () => {
  const names = knownNames();
  const files = new Map(
    code.map(({ place, text, program }) => {
      const file = join(directory, `${place.replaceAll(/\W/g, "-")}.ts`);
      writeFileSync(file, program === undefined ? complete(text, names) : text);
      return [file, place];
    }),
  );
  const compiled = ts.createProgram([...files.keys()], { ...strict, verbatimModuleSyntax: false });
  const errors = ts.getPreEmitDiagnostics(compiled).flatMap(({ file, start = 0, messageText }) => {
    const place = files.get(file?.fileName ?? "");
    // What the tests that are given import has been compiled with them.
    if (file === undefined || place === undefined) return [];
    const [document, first] = place.split(":");
    const line = Number(first) + 1 + file.getLineAndCharacterOfPosition(start).line;
    return [`${document}:${line}: ${ts.flattenDiagnosticMessageText(messageText, "\n")}`];
  });
  expect(errors).toEqual([]);
});

/** Programs that no example is: where they run. */
const runElsewhere = new Map([
  ["checksum.ts", "test/integration/vfio-user/docs.test.ts"],
  ["drive.ts", "test/integration/vfio-user/docs.test.ts"],
]);

test.each(programs.map((each) => [each.program, each] as const))("%s runs somewhere", (name = "", { text }) => {
  const elsewhere = runElsewhere.get(name);
  if (elsewhere !== undefined) {
    expect(readFileSync(join(root, elsewhere), "utf8")).toContain(name.replace(/\.ts$/, ""));
    return;
  }
  // The example of that name, which the rig's tests run.
  const example = readFileSync(join(root, "examples", name), "utf8");
  expect(text.slice(text.indexOf("import {"))).toBe(example.slice(example.indexOf("import {")));
  expect(readFileSync(join(root, "test/rig/examples.test.ts"), "utf8")).toContain(`"${name.replace(/\.ts$/, "")}"`);
});
