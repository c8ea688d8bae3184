/**
 * The process in the rig's guest: reads a {@link GuestOrder} from standard input, and writes {@link GuestNews} line by line.
 *
 * @module
 */
import { text } from "node:stream/consumers";
import { watchMachine } from "./machine.js";
import { benchmarks } from "./registry.js";
import type { GuestNews, GuestOrder } from "./rig.js";
import { runOne } from "./run.js";

function tell(news: GuestNews): void {
  process.stdout.write(`${JSON.stringify(news)}\n`);
}

const { names, effort }: GuestOrder = JSON.parse(await text(process.stdin));
const describe = watchMachine("guest");
for (const benchmark of benchmarks.filter(({ name }) => names.includes(name))) {
  tell({ begins: benchmark.name });
  tell({ row: await runOne(benchmark, effort, "guest") });
}
tell({ machine: describe() });
