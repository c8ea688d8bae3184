import { existsSync, readdirSync, readFileSync } from "node:fs";
import { expect, it } from "vitest";

const root = new URL("../../", import.meta.url);
const inDocs = (name: string) => `docs/${name}`;
const read = (path: string) => readFileSync(new URL(path, root), "utf8");

it("the README's program is the example that the rig's tests run", () => {
  const block = /```ts\n([\s\S]*?)```/.exec(read("README.md"))?.[1];
  const example = read("examples/first-device.ts");
  expect(block).toBe(example.slice(example.indexOf("import {")));
});

it("the README and the documents link to files that exist", () => {
  const documents = ["README.md", "CONTRIBUTING.md", "CHANGELOG.md", ...readdirSync(new URL("docs", root)).map(inDocs)];
  const broken = documents.flatMap((path) =>
    [...read(path).matchAll(/\]\((?!https?:)([^)#]+)[^)]*\)/g)]
      .map(([, target]) => new URL(target ?? "", new URL(path, root)))
      .filter((target) => !existsSync(target))
      .map((target) => `${path}: ${target.pathname}`),
  );
  expect(broken).toEqual([]);
});
