// The thread of FakeServer (fake-server.ts): it reads what the client sends, and answers with what it was told to.
import { workerData } from "node:worker_threads";
import { native } from "../../../dist/kernel/native.js";
import { UnixSocket } from "../../../dist/kernel/unix-socket.js";
import { eduDevice, VfioUserServer } from "../../../dist/vfio-user/index.js";
import { stampHeader } from "../../../dist/vfio-user/protocol/constants.js";
import { FrameReader } from "../../../dist/vfio-user/protocol/framing.js";

/**
 * @typedef {{ memfd: number, seals?: number, content?: readonly (readonly [number, number])[] } | { twin: "stream" | "seqpacket" }} Descriptor
 * @typedef {{ bytes: Uint8Array, fds: readonly Descriptor[], reply: boolean, twin: boolean, idAt: number | undefined }} Action
 */

const { port, signal } = workerData;

/** One end of a connection. */
class End {
  /** @param {UnixSocket} socket */
  constructor(socket) {
    this.socket = socket;
    this.reader = new FrameReader({ messageSize: 1 << 26, fds: 253 });
  }
}

/** @type {End | undefined} */
let main;
/** @type {End | undefined} */
let twin;
/** @type {{ id: number, command: number, flags: number, error: number, payload: Uint8Array, fds: number, twin: boolean }[]} */
let frames = [];
/** @type {Action[]} */
let replies = [];
/** @type {VfioUserServer | undefined} */
let server;
/** @type {Promise<void>} */
let sending = Promise.resolve();

function acknowledge() {
  Atomics.add(signal, 0, 1);
  Atomics.notify(signal, 0);
}

/** @param {Descriptor} descriptor */
function make(descriptor) {
  if ("twin" in descriptor) {
    const [ours, theirs] = UnixSocket.pair(descriptor.twin);
    twin = new End(ours);
    listen(twin);
    const fd = native.dup(theirs.fd);
    theirs.close();
    return fd;
  }
  const fd = native.memfdCreate("region", 2);
  native.ftruncate(fd, descriptor.memfd);
  for (const [offset, value] of descriptor.content ?? []) native.pwrite(fd, Uint8Array.of(value), offset);
  if (descriptor.seals !== undefined) native.addSeals(fd, descriptor.seals);
  return fd;
}

/**
 * @param {Action} action
 * @param {number} [id]
 */
function send(action, id) {
  const bytes = Uint8Array.from(action.bytes);
  if (id !== undefined && action.idAt !== undefined) new DataView(bytes.buffer).setUint16(action.idAt, id, true);
  const end = action.twin ? twin : main;
  const fds = action.fds.map(make);
  sending = sending
    .then(() => end?.socket.send(bytes, fds))
    // The client has gone.
    .catch(() => {})
    .finally(() => {
      for (const fd of fds) native.close(fd);
    });
}

/** @param {End} end */
function receive(end) {
  for (;;) {
    const received = end.socket.tryReceive(end.reader.room(), 253);
    if (received === undefined) return;
    if (received.length === 0) {
      end.socket.onReadable(undefined);
      return;
    }
    for (const { header, payload, fds } of end.reader.advance(received.length, received.descriptors)) {
      for (const fd of fds) fd.close();
      const { id, command, flags, error } = header;
      frames.push({ id, command, flags, error, payload, fds: fds.length, twin: end === twin });
      // A command that is to be answered.
      if ((flags & 0x1f) !== 0) continue;
      const action = replies.shift();
      if (action !== undefined) send(action, id);
    }
  }
}

/** @param {End} end */
function listen(end) {
  end.socket.onReadable(() => {
    try {
      receive(end);
    } catch {
      end.socket.onReadable(undefined);
    }
  });
}

/**
 * Puts itself between the client and an edu device, and cuts the line at the client's n-th message: before the device has it, when
 * the answer is there, or in the middle of the answer.
 *
 * @param {End} client
 * @param {{ dieAt: number, when: "before" | "after" | "within" }} options
 */
function relay(client, { dieAt, when }) {
  const [near, far] = UnixSocket.pair("stream");
  const device = eduDevice({ dmaDelay: 1 });
  server = VfioUserServer.serve(device, far);
  const end = new End(near);
  let seen = 0;
  const cut = () => {
    close(client);
    close(end);
  };
  client.socket.onReadable(() => {
    const received = client.socket.tryReceive(client.reader.room(), 253);
    if (received === undefined) return;
    if (received.length === 0) return cut();
    for (const frame of client.reader.advance(received.length, received.descriptors)) {
      seen++;
      if (!client.socket.closed) pass(frame, near);
      for (const fd of frame.fds) fd.close();
      if (seen === dieAt && when === "before") return cut();
    }
  });
  near.onReadable(() => {
    const received = near.tryReceive(end.reader.room(), 253);
    if (received === undefined) return;
    if (received.length === 0) return cut();
    for (const frame of end.reader.advance(received.length, received.descriptors)) {
      if (seen >= dieAt && when === "within") client.socket.trySend(encode(frame).subarray(0, 9));
      else if (!client.socket.closed && seen < dieAt) pass(frame, client.socket);
      for (const fd of frame.fds) fd.close();
      if (seen >= dieAt) return cut();
    }
  });
}

/** @param {import("../../../types/vfio-user/protocol/framing.d.ts").Frame} frame */
function encode({ header, payload }) {
  const message = new Uint8Array(16 + payload.length);
  message.set(payload, 16);
  return stampHeader(message, header.id, header.command, header.flags, header.error);
}

/**
 * @param {import("../../../types/vfio-user/protocol/framing.d.ts").Frame} frame
 * @param {UnixSocket} socket
 */
function pass(frame, socket) {
  try {
    socket.trySend(
      encode(frame),
      frame.fds.map((fd) => fd.number),
    );
  } catch {
    // It has gone.
  }
}

/** @param {End | undefined} end */
function close(end) {
  end?.reader.close();
  end?.socket.close();
}

port.on("message", (message) => {
  switch (message.type) {
    case "open":
      main = new End(UnixSocket.adopt(message.fd));
      main.socket.setBuffers({ send: 1 << 22 });
      if (message.relay === undefined) listen(main);
      else relay(main, message.relay);
      break;
    case "action":
      if (!message.action.reply) send(message.action);
      else {
        replies.push(message.action);
        acknowledge();
      }
      break;
    case "forget":
      replies = [];
      break;
    case "pause":
      main?.socket.onReadable(undefined);
      break;
    case "shutdown":
      // What was to be said before is said before.
      sending = sending.then(() => close(main));
      break;
    case "close twin":
      close(twin);
      acknowledge();
      break;
    case "drain":
      if (main !== undefined && !main.socket.closed) receive(main);
      if (twin !== undefined && !twin.socket.closed) receive(twin);
      port.postMessage(frames);
      frames = [];
      acknowledge();
      break;
    case "close":
      close(main);
      close(twin);
      main = undefined;
      twin = undefined;
      frames = [];
      replies = [];
      server?.close();
      Promise.all([sending, server?.idle()]).then(acknowledge);
      server = undefined;
      break;
  }
});
acknowledge();
