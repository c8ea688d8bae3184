/** Copies by edu's DMA engine: what shows that a mapping still leads where it did. */
import type { Container } from "vfio";
import { devices } from "../devices.js";
import { present } from "./hand-over.js";
import { EDU } from "./registers.js";

/** The memory in the device. */
const BUFFER = 0x40000;
const LENGTH = 256;

function copy(container: Container, source: bigint | number, destination: bigint | number, command: number): void {
  const registers = present(container.devices.get(devices.edu), "edu").region("bar0").registers();
  registers.write64(EDU.source, source);
  registers.write64(EDU.destination, destination);
  registers.write64(EDU.count, LENGTH);
  registers.write64(EDU.command, command);
  while ((registers.read32(EDU.command) & 1) !== 0);
}

/** Has edu copy 256 bytes from one IOVA to another, both below 256 MiB. */
export function dma(container: Container, from: bigint, to: bigint): void {
  copy(container, from, BUFFER, 1);
  copy(container, BUFFER, to, 3);
}
