/** A peer that says whatever a test wants it to, packet by packet; written from the description of the wire, not from its code. */
import { readdirSync } from "node:fs";
import { setImmediate as turn } from "node:timers/promises";
import { VfioError } from "../../../lib/base/errors.js";
import { native } from "../../../lib/kernel/native.js";
import { UnixSocket } from "../../../lib/kernel/unix-socket.js";

export const KINDS = { message: 1, descriptors: 2, data: 3, acknowledgement: 4, end: 5 } as const;
export const TYPES = {
  hello: 0,
  process: 1,
  parcel: 2,
  ready: 3,
  frozen: 4,
  taken: 5,
  commit: 6,
  released: 7,
  done: 8,
} as const;

export interface PacketInit {
  readonly magic?: number;
  readonly kind: number;
  readonly type?: number;
  readonly first?: number;
  readonly second?: number;
  readonly payload?: Uint8Array;
}

export function packet({ magic = 0x554c4656, kind, type = 0, first, second = 0, payload }: PacketInit): Uint8Array {
  const length = payload?.length ?? 0;
  const bytes = new Uint8Array(16 + length);
  const view = new DataView(bytes.buffer);
  view.setUint32(0, magic, true);
  view.setUint16(4, kind, true);
  view.setUint16(6, type, true);
  view.setUint32(8, first ?? length, true);
  view.setUint32(12, second, true);
  if (payload !== undefined) bytes.set(payload, 16);
  return bytes;
}

/** A message without descriptors that fits into one packet. */
export function message(type: keyof typeof TYPES, payload = new Uint8Array(0)): Uint8Array {
  return packet({ kind: KINDS.message, type: TYPES[type], payload });
}

/** The end of a conversation. */
export function end(reason: string): Uint8Array {
  return packet({ kind: KINDS.end, payload: new TextEncoder().encode(reason) });
}

/** What either side says first. */
export function hello(role: "old" | "successor", newest = 1, oldest = 1): Uint8Array {
  return message("hello", new Uint8Array(Uint32Array.of(newest, oldest, role === "old" ? 0 : 1).buffer));
}

/** Descriptors that this process has open. */
export function openDescriptors(): number {
  return readdirSync("/proc/self/fd").length;
}

/** Takes all that is there. */
export function takeAll(socket: UnixSocket): void {
  for (;;) {
    try {
      const received = socket.tryReceive(new Uint8Array(70_000), 253);
      for (const each of received?.descriptors ?? []) each.close();
      if (received === undefined || received.length === 0) return;
    } catch (error) {
      // The other side has gone without reading everything; what it had said before is still there.
      if (!(error instanceof VfioError && error.code === "ECONNRESET")) throw error;
    }
  }
}

/** Waits for a message of this type, and drops whatever comes before it. */
export async function receiveUntil(socket: UnixSocket, type: keyof typeof TYPES): Promise<void> {
  const into = new Uint8Array(70_000);
  const view = new DataView(into.buffer);
  for (;;) {
    const { length, descriptors } = await socket.receive(into, { room: 253 });
    for (const each of descriptors) each.close();
    if (length === 0) throw new Error(`the socket ended before "${type}" came`);
    if (view.getUint16(4, true) === KINDS.message && view.getUint16(6, true) === TYPES[type]) return;
  }
}

/** Takes all that comes until nothing comes, and gives no answer. */
export async function drain(socket: UnixSocket): Promise<void> {
  for (let turns = 0; turns < 4; turns++) {
    takeAll(socket);
    await turn();
  }
}

/** The old process's introduction: it is this process, which lives. */
export async function introduceOldProcess(socket: UnixSocket): Promise<void> {
  const pidfd = native.pidfdOpen(process.pid);
  await socket.send(hello("old"));
  await socket.send(packet({ kind: KINDS.message, type: TYPES.process, first: 0, second: 1 }));
  await socket.send(packet({ kind: KINDS.descriptors, first: 0, second: 1 }), [pidfd]);
  native.close(pidfd);
}

/** The successor's introduction, with the acknowledgement of the old process's pidfd. */
export async function introduceSuccessor(socket: UnixSocket): Promise<void> {
  await socket.send(hello("successor"));
  await socket.send(packet({ kind: KINDS.acknowledgement, first: 1 }));
}

/** Two ends of type seqpacket. */
export function pair(): [UnixSocket, UnixSocket] {
  return UnixSocket.pair("seqpacket");
}
