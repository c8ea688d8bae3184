/** Memory of another process, which punches holes into it and uses up the reserve of huge pages. */
import { type ChildProcess, execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import { readFileSync, rmSync, writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { check } from "../../lib/base/errors.js";
import { OwnedFd } from "../../lib/kernel/fd.js";
import { native } from "../../lib/kernel/native.js";
import { UnixSocket } from "../../lib/kernel/unix-socket.js";
import { DmaBuffer } from "../../lib/memory/dma-buffer.js";
import { cannotFault } from "../../lib/memory/memory-file.js";
import { type Answer, PeerConnection } from "../../lib/vfio-user/peer/connection.js";
import { errorReply, HEADER_SIZE } from "../../lib/vfio-user/protocol/constants.js";
import type { Frame } from "../../lib/vfio-user/protocol/framing.js";
import {
  deviceGetInfo,
  deviceGetIrqInfo,
  deviceGetRegionInfo,
  dmaMap,
  dmaUnmap,
  dmaWrite,
  regionRead,
  regionWrite,
  version,
} from "../../lib/vfio-user/protocol/messages.js";
import { RawClient } from "../integration/vfio-user/raw-client.js";

const MiB = 1 << 20;
const HUGE = 2 * MiB;
// linux/memfd.h: MFD_ALLOW_SEALING, and MFD_HUGETLB | MFD_HUGE_2MB
const SEALABLE = 2;
const HUGE_2M = 4 | (21 << 26);
const SEAL_SHRINK = 2;
const OVERCOMMIT = "/proc/sys/vm/overcommit_memory";

let pool: number;
beforeEach(() => {
  pool = freeHugePages();
});
afterEach(() => expect(freeHugePages()).toBe(pool));

function freeHugePages(): number {
  return Number(readFileSync("/sys/kernel/mm/hugepages/hugepages-2048kB/free_hugepages", "latin1"));
}

function memfd(length: number, { huge = false, seals = 0 } = {}): OwnedFd {
  const made = native.memfdCreate("foreign", SEALABLE | (huge ? HUGE_2M : 0));
  const fd = new OwnedFd(
    check(made, () => ({ syscall: "memfd_create" })),
    "memfd",
  );
  expect(native.ftruncate(fd.number, length)).toBe(0);
  expect(native.addSeals(fd.number, seals)).toBe(0);
  return fd;
}

function punch(fd: number, length: number): void {
  execFileSync("fallocate", ["--punch-hole", "--length", `${length}`, `/proc/${process.pid}/fd/${fd}`]);
}

/** Uses up the reserve of huge pages, until it is disposed. */
function emptyPool(): DmaBuffer {
  return DmaBuffer.allocate(freeHugePages() * HUGE, { pages: "2M" });
}

/** The peer, in a process of its own. */
class Peer implements AsyncDisposable {
  readonly socket: UnixSocket;
  readonly #child: ChildProcess;

  constructor(role: "server" | "client", trust: boolean) {
    const [ours, theirs] = UnixSocket.pair("stream");
    this.socket = ours;
    const script = fileURLToPath(new URL("foreign-memory.mjs", import.meta.url));
    this.#child = spawn(process.execPath, [script, role, trust ? "trust" : ""], {
      stdio: ["ignore", "inherit", "inherit", theirs.fd, "ipc"],
      env: { ...process.env, NODE_OPTIONS: "" },
    });
    theirs.close();
  }

  /** What it says next, or how it ended. */
  async next(): Promise<unknown> {
    const [what, signal] = await Promise.race([once(this.#child, "message"), once(this.#child, "exit")]);
    return signal ?? what;
  }

  ask(): Promise<unknown> {
    this.#child.send("go");
    return this.next();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.socket.close();
    if (this.#child.exitCode !== null || this.#child.signalCode !== null) return;
    this.#child.kill("SIGKILL");
    await once(this.#child, "exit");
  }
}

const READ = 0n;
const WRITE = 4n;
const VIEW = 8n;
const WRITE_OVER_THE_BORDER = 12n;

/** A client that does not answer for its memory, except for the writes that it records. */
async function hello(
  peer: Peer,
): Promise<{ client: RawClient; use: (register: bigint) => Promise<number>; asked: Uint8Array[] }> {
  const client = RawClient.over(peer.socket);
  await client.ask(version, { major: 0, minor: 2, capabilities: { max_msg_fds: 16 } });
  const asked: Uint8Array[] = [];
  client.onRequest = ({ payload }) => {
    const { iova, data } = dmaWrite.request.decode(payload);
    asked.push(data);
    return dmaWrite.reply.encode({ iova, count: BigInt(data.length) });
  };
  const use = async (offset: bigint) =>
    (await client.call(regionWrite, { offset, region: 0, data: new Uint8Array(4) })).errno;
  return { client, use, asked };
}

const range = (size: number) => ({ flags: 3, offset: 0n, iova: 0n, size: BigInt(size) });

describe("a server", () => {
  test.each([
    ["sealed", SEAL_SHRINK],
    ["unsealed", 0],
  ])("survives that its client empties %s memory of huge pages", async (_, seals) => {
    await using peer = new Peer("server", false);
    const { client, use, asked } = await hello(peer);
    using fd = memfd(2 * HUGE, { huge: true, seals });
    await client.ask(dmaMap, range(2 * HUGE), [fd.number]);
    // A mapping of what is there, so that the pages do not go.
    {
      using memory = DmaBuffer.fromFd(fd.duplicate(), { trustHolders: true });
      for (const register of [VIEW, WRITE, READ, WRITE_OVER_THE_BORDER]) expect(await use(register)).toBe(0);
      expect([...memory.bytes.subarray(0, 9)]).toEqual([1, 2, 3, 4, 5, 6, 7, 8, 0]);
      expect([...memory.bytes.subarray(HUGE - 5, HUGE + 5)]).toEqual([0, 1, 2, 3, 4, 5, 6, 7, 8, 0]);
      expect(asked).toEqual([]);
    }
    punch(fd.number, 2 * HUGE);
    using _rest = emptyPool();
    expect(await use(READ)).toBe(0);
    expect(await use(VIEW)).toBe(0);
    expect(await use(WRITE)).toBe(0);
    expect(await use(WRITE_OVER_THE_BORDER)).toBe(0);
    // The file could not take them.
    expect(asked.map((data) => [...data])).toEqual([
      [1, 2, 3, 4, 5, 6, 7, 8],
      [1, 2, 3, 4, 5, 6, 7, 8],
    ]);
    await client.ask(dmaUnmap, { ...range(2 * HUGE), flags: 0, argsz: 24 });
  });

  test("survives that its client punches a hole into sealed memory of normal pages, and has it mapped", async () => {
    await using peer = new Peer("server", false);
    const { client, use, asked } = await hello(peer);
    using fd = memfd(4 * MiB, { seals: SEAL_SHRINK });
    await client.ask(dmaMap, range(4 * MiB), [fd.number]);
    const first = new Uint8Array(1);
    for (const register of [WRITE, READ, VIEW, WRITE_OVER_THE_BORDER]) expect(await use(register)).toBe(0);
    native.pread(fd.number, first, 0);
    expect(first[0]).toBe(9);
    punch(fd.number, 4 * MiB);
    for (const register of [READ, VIEW, WRITE, WRITE_OVER_THE_BORDER]) expect(await use(register)).toBe(0);
    expect(asked).toEqual([]);
  });

  test("maps a part of a file of huge pages, whatever page it begins in, if it trusts its client", async () => {
    await using peer = new Peer("server", true);
    const { client, use } = await hello(peer);
    using fd = memfd(4 * HUGE, { huge: true });
    // QEMU maps the memory of a PC below and above the hole for the VGA and the BIOS.
    await client.ask(dmaMap, { ...range(2 * HUGE), offset: 0xc0000n }, [fd.number]);
    using memory = DmaBuffer.fromFd(fd.duplicate(), { trustHolders: true });
    expect(await use(VIEW)).toBe(0);
    expect([...memory.bytes.subarray(0xc0000 - 1, 0xc0000 + 2)]).toEqual([0, 9, 9]);
    expect(await use(WRITE_OVER_THE_BORDER)).toBe(0);
    expect(memory.bytes[0xc0000 + HUGE]).toBe(5);
    await client.ask(dmaUnmap, { ...range(2 * HUGE), flags: 0, argsz: 24 });
  });
});

/** A server of one region of huge pages, which empties whatever it has a file of. */
function hostileServer(peer: Peer, file: OwnedFd): Disposable & { readonly given: OwnedFd[] } {
  const given: OwnedFd[] = [];
  const region = (index: number, size: number) => {
    const flags = size > 0 ? 7 : 0;
    return deviceGetRegionInfo.answer({
      argsz: 32,
      flags,
      index,
      size: BigInt(size),
      offset: 0n,
      capabilities: undefined,
    });
  };
  const answer = ({ header, payload, fds }: Frame): Answer => {
    switch (header.command) {
      case version.number:
        return { message: version.reply.encode({ major: 0, minor: 2, capabilities: { max_msg_fds: 16 } }) };
      case deviceGetInfo.number:
        return { message: deviceGetInfo.reply.encode({ argsz: 16, flags: 3, numRegions: 9, numIrqs: 5 }) };
      case deviceGetRegionInfo.number: {
        const { index } = deviceGetRegionInfo.request.decode(payload);
        if (index !== 0) return { message: region(index, 0) };
        return { message: region(index, HUGE), fds: [file.number] };
      }
      case deviceGetIrqInfo.number:
        return { message: deviceGetIrqInfo.reply.encode({ argsz: 16, flags: 0, index: 0, count: 0 }) };
      case regionRead.number: {
        const { offset, region, count } = regionRead.request.decode(payload);
        return { message: regionRead.reply.encode({ offset, region, data: new Uint8Array(count) }) };
      }
      case dmaMap.number:
        given.push(...fds.map((fd) => fd.duplicate()));
        return { message: new Uint8Array(HEADER_SIZE) };
      default:
        return { message: errorReply(header.id, header.command, 22) };
    }
  };
  new PeerConnection(
    peer.socket,
    { messageSize: 1 << 16, fds: 16 },
    { answer, failed: () => {}, ended: () => {} },
  ).start();
  return {
    given,
    [Symbol.dispose]() {
      for (const fd of given) fd.close();
    },
  };
}

describe("a client", () => {
  test("survives that its server empties a region, and memory that it was given, of huge pages", async () => {
    using file = memfd(HUGE, { huge: true, seals: SEAL_SHRINK });
    await using peer = new Peer("client", false);
    using server = hostileServer(peer, file);
    expect(await peer.next()).toBe("ready");
    expect(await peer.ask()).toEqual([0, 1]);
    for (const fd of [file, ...server.given]) punch(fd.number, HUGE);
    using _rest = emptyPool();
    expect(await peer.ask()).toEqual([0, 1]);
  });

  test("gives its memory of huge pages, and maps the region, if it trusts its server", async () => {
    using file = memfd(HUGE, { huge: true, seals: SEAL_SHRINK });
    using content = DmaBuffer.fromFd(file.duplicate(), { trustHolders: true });
    content.bytes[0] = 0x5a;
    await using peer = new Peer("client", true);
    using server = hostileServer(peer, file);
    expect(await peer.next()).toBe("ready");
    expect(await peer.ask()).toEqual([0x5a, 1]);
    expect(server.given).toHaveLength(1);
  });
});

describe("DmaBuffer.fromFd", () => {
  test.each([
    ["a memfd that is not sealed", () => memfd(4096)],
    ["a memfd that is sealed against growing alone", () => memfd(4096, { seals: 4 })],
    ["a sealed memfd of huge pages", () => memfd(HUGE, { huge: true, seals: SEAL_SHRINK })],
    ["a file of tmpfs", () => shared("/dev/shm/vfio-foreign-memory", 4096)],
    ["a file of hugetlbfs", () => shared("/dev/hugepages/vfio-foreign-memory", HUGE)],
  ])("refuses %s, unless its holders are trusted", (_, make) => {
    using fd = make();
    expect(() => DmaBuffer.fromFd(fd)).toThrow(/EPERM.*cut or empty.*\n.*F_SEAL_SHRINK.*trustHolders/);
    // It is still the caller's.
    expect(fd.closed).toBe(false);
    using buffer = DmaBuffer.fromFd(fd, { trustHolders: true });
    buffer.bytes[0] = 1;
    expect(buffer.bytes[0]).toBe(1);
  });

  test("maps a sealed memfd, such as another buffer's", () => {
    using mine = DmaBuffer.allocate(4096);
    mine.bytes[0] = 7;
    const fd = new OwnedFd(native.dup(mine.backing()?.fd ?? -1), "copy");
    using theirs = DmaBuffer.fromFd(fd);
    expect(theirs.bytes[0]).toBe(7);
  });
});

function shared(path: string, length: number): OwnedFd {
  writeFileSync(path, "");
  const fd = new OwnedFd(native.open(path, 2), path);
  rmSync(path);
  expect(native.ftruncate(fd.number, length)).toBe(0);
  return fd;
}

test("no memfd is safe where the kernel promises no more memory than it has", () => {
  using fd = memfd(4096, { seals: SEAL_SHRINK });
  expect(cannotFault(fd.number)).toBe(true);
  const before = readFileSync(OVERCOMMIT, "latin1");
  writeFileSync(OVERCOMMIT, "2");
  try {
    expect(cannotFault(fd.number)).toBe(false);
  } finally {
    writeFileSync(OVERCOMMIT, before);
  }
});
