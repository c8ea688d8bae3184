/** The table of calls beside the addon: each function takes the arguments that its row has. */
import { expect, test } from "vitest";
import { type ArgumentSpec, nativeCalls } from "../../../lib/kernel/calls.js";
import { native } from "../../../lib/kernel/native.js";
import { bytes, descriptor, descriptors, mapping, type Show, text } from "../../../lib/kernel/values.js";

/** The arguments of the addon's function, each by what it must be. */
function parametersOf(name: string): readonly unknown[] {
  const own: unknown = Reflect.get(native, name);
  const parameters: unknown = typeof own === "function" ? Reflect.get(own, "parameters") : undefined;
  if (!Array.isArray(parameters)) throw new Error(`the addon has no function ${name}`);
  return parameters;
}

/** What an argument that is shown in this way must be. Numbers are shown in many ways, and are not looked at. */
const kinds: ReadonlyMap<Show, RegExp> = new Map([
  [bytes, /typed array/],
  [descriptor, /file descriptor|signed 32-bit/],
  [descriptors, /typed array/],
  [mapping, /handle/],
  [text, /string/],
]);

const rows = Object.entries(nativeCalls).flatMap(([name, spec]) => ("args" in spec ? [{ name, args: spec.args }] : []));

const passed = (args: readonly ArgumentSpec[]) => args.filter(([, , kind]) => kind !== "constant");

test.each(rows)("$name takes the arguments of its row", ({ name, args }) => {
  const parameters = parametersOf(name);
  const shown = passed(args);
  expect(parameters).toHaveLength(shown.length);
  for (const [index, [argument, show]] of shown.entries()) {
    expect(parameters[index], `${name}: ${argument}`).toMatch(kinds.get(show) ?? /./);
  }
});
