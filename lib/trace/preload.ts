/**
 * What `vfio trace` has each Node process import before its program: it listens to the channels, whichever copy of the
 * package the program loads, and whenever. In a program that loads none, it costs nothing more.
 *
 * @module
 */
import { channel } from "node:diagnostics_channel";
import { openSync } from "node:fs";
import { formatCall, here } from "../kernel/call-format.js";
import { writeLine } from "../kernel/line.js";
import { CALL_CHANNEL, isTracedCall, REGISTER_CHANNEL } from "../kernel/traced-call.js";
import { recordOf } from "./record.js";
import { nameFilter, parseSettings, SETTINGS_VARIABLE, type TraceSettings } from "./settings.js";

const STANDARD_ERROR = 2;

/** Where lines go. Opened before the program may give up the permission to. */
function openOutput(file: string | undefined): number {
  if (file === undefined) return STANDARD_ERROR;
  try {
    return openSync(file, "a");
  } catch (error) {
    writeLine(STANDARD_ERROR, `vfio trace: ${String(error)}; the calls of process ${process.pid} follow here`);
    return STANDARD_ERROR;
  }
}

function listen({ file, json, filter, failed, registers }: TraceSettings): void {
  const output = openOutput(file);
  const wanted = nameFilter(filter);
  const print = (message: unknown) => {
    if (!isTracedCall(message) || (failed && message.error === undefined) || !wanted(message)) return;
    const line =
      json === undefined ? `${here()} ${formatCall(message)}` : JSON.stringify({ schema: json, ...recordOf(message) });
    writeLine(output, line);
  };
  channel(CALL_CHANNEL).subscribe(print);
  if (registers) channel(REGISTER_CHANNEL).subscribe(print);
}

const settings = parseSettings(process.env[SETTINGS_VARIABLE]);
if (settings !== undefined) listen(settings);
