/**
 * What `console.log` shows of each public object of this entry point, in one line.
 *
 * @module
 */
import { counted, showAs } from "../base/inspect.js";
import { DeviceBar } from "./device/bar.js";
import { DeviceClient } from "./device/device-client.js";
import { ClientMemory } from "./device/dma.js";
import { PciConfig } from "./device/pci-config.js";
import { PciDevice } from "./device/pci-device.js";
import { VfioUserServer } from "./server/server.js";

const hex16 = (value: number) => value.toString(16).padStart(4, "0");
const idsOf = ({ bytes }: PciConfig) => {
  const view = new DataView(bytes.buffer, bytes.byteOffset);
  return `${hex16(view.getUint16(0, true))}:${hex16(view.getUint16(2, true))}`;
};

showAs(PciDevice, (device) => `${device.name}, ${idsOf(device.config)}`);
showAs(PciConfig, (config) => `${idsOf(config)}, ${config.bytes.length} bytes`);
showAs(DeviceBar, (bar) => `BAR ${bar.index}, ${bar.size} bytes of ${bar.space}`);
showAs(ClientMemory, (memory) => counted(memory.ranges.length, "range"));
showAs(
  DeviceClient,
  (client) => `${counted(client.dma.ranges.length, "range")} of memory${client.signal.aborted ? ", gone" : ""}`,
);
showAs(
  VfioUserServer,
  (server) => `${server.device.name}, ${server.connected ? "a client is connected" : "no client"}`,
);
