// The other end of a message socket, on descriptor 3, as an ordinary user with a limit of open files. Says what happened on stdout.
import { readdirSync } from "node:fs";
import { UnixSocket } from "../../../dist/kernel/unix-socket.js";
import { MessageSocket } from "../../../dist/live-update/message-socket.js";

if (process.getuid?.() === 0) {
  process.setgid?.(65534);
  process.setuid?.(65534);
}
const messages = new MessageSocket(UnixSocket.adopt(3), "the test");
const openDescriptors = () => readdirSync("/proc/self/fd").length;
/** @param {unknown} error */
const codeOf = (error) => (error instanceof Error && "code" in error ? error.code : String(error));

if (process.argv[2] === "send") {
  await messages.send("parcel", new Uint8Array(3), Array(1000).fill(1), {});
  const [a, b] = UnixSocket.pair("seqpacket");
  let unbounded = "";
  try {
    for (let i = 0; i < 3; i++) a.trySend(Uint8Array.of(1), Array(253).fill(1));
  } catch (error) {
    unbounded = String(codeOf(error));
  }
  a.close();
  b.close();
  console.log(JSON.stringify({ uid: process.getuid?.(), sent: true, unbounded }));
} else {
  const before = openDescriptors();
  try {
    await messages.receive("parcel", { bytes: 10, descriptors: 1000 }, {});
  } catch (error) {
    messages.end(String(error));
    console.log(JSON.stringify({ code: codeOf(error), leaked: openDescriptors() - before }));
  }
}
messages.close();
