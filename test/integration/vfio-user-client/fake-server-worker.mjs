// The thread of FakeServer (fake-server.ts): it reads what the client sends, and answers with what it was told to.
import { workerData } from "node:worker_threads";
import { native } from "../../../dist/native.js";
import { UnixSocket } from "../../../dist/unix-socket.js";
import { FrameReader } from "../../../dist/vfio-user/framing.js";

/**
 * @typedef {{ memfd: number, seals?: number, content?: readonly (readonly [number, number])[] } | { twin: "stream" | "seqpacket" }} Descriptor
 * @typedef {{ bytes: Uint8Array, fds: readonly Descriptor[], reply: boolean, twin: boolean, idAt: boolean }} Action
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
  if (id !== undefined && action.idAt) new DataView(bytes.buffer).setUint16(0, id, true);
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
      listen(main);
      break;
    case "action":
      if (!message.action.reply) send(message.action);
      else {
        replies.push(message.action);
        acknowledge();
      }
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
      sending.then(acknowledge);
      break;
  }
});
acknowledge();
