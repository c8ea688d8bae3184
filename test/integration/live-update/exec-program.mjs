// A program that replaces itself, some generations long. Says on stdout, a line each, what it finds.
//
// usage: exec-program.mjs <generations>
import { execFileSync } from "node:child_process";
import { readdirSync, readFileSync } from "node:fs";
import { native } from "../../../dist/kernel/native.js";
import { execInPlace, incomingExec } from "../../../dist/live-update/index.js";

const generations = Number(process.argv[2]);
const wait = { signal: new AbortController().signal };
const inherits = () => execFileSync("ls", ["/proc/self/fd"], { encoding: "utf8", stdio: ["pipe", "pipe", "inherit"] });
const ownStatus = () => /SigIgn:\s*(\w+)/.exec(readFileSync("/proc/self/status", "latin1"))?.[1];

const carrier = incomingExec();
const named = process.env.VFIO_LIVE_UPDATE !== undefined;
let manifest = { generation: 0 };
/** @type {number[]} */
let descriptors = [];
if (carrier === undefined) {
  descriptors = [native.eventfd(), native.eventfd()];
  native.eventfdWrite(descriptors[0] ?? -1, 42);
  // One whose number is far from those that the runtime makes close-on-exec at its start.
  while ((descriptors.at(-1) ?? 0) < 60) descriptors.push(native.dup(descriptors[1] ?? -1));
} else {
  const parcel = await carrier.receive(wait);
  manifest = JSON.parse(new TextDecoder().decode(parcel.manifest));
  const late = new TextDecoder().decode(await carrier.ready(wait));
  await carrier.taken(wait);
  await carrier.released(wait);
  carrier.done(new Uint8Array(0));
  descriptors = parcel.descriptors.map((each) => each.number);
  const counter = descriptors[0] ?? -1;
  const count = native.eventfdRead(counter);
  native.eventfdWrite(counter, count);
  console.log(
    JSON.stringify({
      pid: process.pid,
      generation: manifest.generation,
      late,
      count,
      named,
      closeOnExec: descriptors.every((fd) => native.setCloseOnExec(fd, true) === 1),
      open: readdirSync("/proc/self/fd").length,
      inherited: inherits().trim().split("\n").length,
      ignored: ownStatus(),
      args: process.argv.slice(2),
      execArgv: process.execArgv,
    }),
  );
}
console.error(`generation ${manifest.generation}`);
if (manifest.generation < generations) {
  const next = execInPlace();
  const bytes = new TextEncoder().encode(JSON.stringify({ generation: manifest.generation + 1 }));
  await next.prepare({ manifest: bytes, descriptors }, wait);
  await next.transfer(new TextEncoder().encode("late"), wait);
  next.commit();
}
process.stdin.on("data", (data) => {
  console.log(JSON.stringify({ stdin: data.toString() }));
  process.exit();
});
