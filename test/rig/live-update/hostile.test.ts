/**
 * Somebody else at the other end: descriptors that are not what the manifest says, bytes that are no manifest, a peer that stalls
 * or speaks out of turn. Each is refused with a clear error, leaves nothing behind, and the old process works on.
 */
import { type Container, DmaBuffer, OwnedFd, openContainer, VfioError } from "vfio";
import { LiveUpdate, type OutgoingCarrier, receiveLiveUpdate, socketToSuccessor } from "vfio/live-update";
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { native } from "../../../lib/kernel/native.js";
import { UnixSocket } from "../../../lib/kernel/unix-socket.js";
import { decodeManifest, descriptorUses } from "../../../lib/live-update/manifest/manifest.js";
import type { DescriptorUse } from "../../../lib/live-update/manifest/schema.js";
import { Prng } from "../../unit/prng.js";
import { bind, devices, needs } from "../devices.js";
import { resources } from "../resources.mjs";
import { carriers, handOver } from "./hand-over.js";

const O_RDONLY = 0;
const O_RDWR = 2;
const PAGE = native.pageSize();
const signal = new AbortController().signal;

let bound: Disposable;
beforeAll(() => {
  bound = bind(devices.edu, devices.igb);
});
afterAll(() => bound[Symbol.dispose]());

/** A parcel that was on its way. */
interface Captured {
  readonly manifest: Uint8Array;
  readonly descriptors: readonly number[];
}

/** What the old process would send. */
async function capture(update: LiveUpdate): Promise<Captured> {
  let captured: Captured | undefined;
  const carrier: OutgoingCarrier = {
    name: "none",
    blockers: () => [],
    prepare: async ({ manifest, descriptors }) => {
      captured = { manifest: manifest.slice(), descriptors: [...descriptors] };
      throw new Error("captured");
    },
    transfer: async () => {},
    commit: () => {},
    released: () => {},
    acknowledged: async () => new Uint8Array(0),
    abort: () => {},
    close: () => {},
  };
  await expect(update.handOver(carrier)).rejects.toThrow("captured");
  if (captured === undefined) throw new Error("nothing was sent");
  return captured;
}

/** Sends a parcel to a real receiver; returns what the receiver threw, and what the sender was told. */
async function deliver({ manifest, descriptors }: Captured): Promise<{ refusal: unknown; told: unknown }> {
  const [out, back] = await carriers();
  const [sent, received] = await Promise.allSettled([
    out.prepare({ manifest, descriptors }, { signal }),
    receiveLiveUpdate(back),
  ]);
  out.close();
  if (received.status === "fulfilled") {
    received.value.abandon();
    throw new Error("it was taken");
  }
  return { refusal: received.reason, told: sent.status === "rejected" ? sent.reason : undefined };
}

function opened(path: string, flags = O_RDWR): OwnedFd {
  const fd = native.open(path, flags);
  if (fd < 0) throw new VfioError({ errno: fd, syscall: "open", path });
  return new OwnedFd(fd, path);
}

function memory(length: number): OwnedFd {
  const fd = new OwnedFd(native.memfdCreate("stranger", 0), "stranger");
  native.ftruncate(fd.number, length);
  return fd;
}

describe.each(["type1v2", "iommufd"] as const)("in mode %s", needs("edu", "igb"), (mode) => {
  let containers: Record<string, Container>;
  let ring: DmaBuffer;
  let update: LiveUpdate;
  let captured: Captured;
  let uses: readonly DescriptorUse[];
  let before: ReturnType<typeof resources>;

  beforeAll(async () => {
    const [main, second] = [openContainer({ mode }), openContainer({ mode })];
    containers = { main, second };
    main.attach(devices.edu).msi.enable(1);
    second.attach(devices.igb).msix.enable(2);
    ring = DmaBuffer.allocate(4 * PAGE, { name: "ring" });
    main.map(ring);
    update = new LiveUpdate({ containers, memory: { ring }, descriptors: { own: ring.backing()?.fd ?? -1 } });
    captured = await capture(update);
    uses = [...descriptorUses(decodeManifest(captured.manifest, captured.descriptors.length))];
  });
  beforeEach(() => {
    before = resources();
  });
  /** Everything here works on, and what was tried left nothing behind. */
  async function worksOn(): Promise<void> {
    expect(resources()).toEqual(before);
    const edu = containers.main?.devices.get(devices.edu);
    const vector = edu?.msi.vector(0);
    vector?.trigger();
    expect(await vector?.wait({ timeout: 10_000 })).toBe(1);
    expect(ring.closed).toBe(false);
    expect(update.blockers()).toEqual([]);
  }
  afterAll(async () => {
    // It was not worn out by any of this.
    const { incoming } = await handOver({ containers, memory: { ring } });
    for (const container of incoming.containers.values()) container.close();
    incoming.memory.get("ring")?.close();
  });

  it("G22: a descriptor of another kind is refused, wherever it is", { timeout: 120_000 }, async () => {
    const other = mode === "iommufd" ? "/dev/vfio/vfio" : "/dev/iommu";
    const strangers: Record<string, OwnedFd> = {
      "an eventfd": new OwnedFd(native.eventfd(), "eventfd"),
      "a memory file that is too small": memory(PAGE),
      "/dev/null": opened("/dev/null"),
      "a file that is not in memory": opened(process.execPath, O_RDONLY),
      "a directory": opened("/", O_RDONLY),
      "a container of another mode": opened(other),
      "/dev/kvm": opened("/dev/kvm"),
    };
    const large = memory(1 << 20);
    strangers["memory that is read-only"] = opened(`/proc/self/fd/${large.number}`, O_RDONLY);
    before = resources();
    let tried = 0;
    for (const { index, expected, what } of uses) {
      if (expected.kind === "any") continue;
      for (const [stranger, { number }] of Object.entries(strangers)) {
        if (expected.kind === "eventfd" && stranger === "an eventfd") continue;
        const descriptors = captured.descriptors.with(index, number);
        const { refusal, told } = await deliver({ ...captured, descriptors });
        expect(refusal, `${stranger} as ${what}`).toMatchObject({ code: "EBADF", object: what });
        expect(told).toMatchObject({ code: "ECANCELED", message: expect.stringContaining("it must be") });
        tried++;
      }
    }
    expect(tried).toBeGreaterThan(60);
    await worksOn();
    large.close();
    for (const stranger of Object.values(strangers)) stranger.close();
  });

  it("descriptors of the right kind in each other's places are refused", async () => {
    const devicesOf = uses.filter(({ expected }) => expected.kind === "device" || expected.kind === "group");
    for (const one of devicesOf) {
      for (const other of devicesOf) {
        if (one === other) continue;
        const descriptors = captured.descriptors
          .with(one.index, captured.descriptors[other.index] ?? -1)
          .with(other.index, captured.descriptors[one.index] ?? -1);
        expect((await deliver({ ...captured, descriptors })).refusal).toMatchObject({ code: "EBADF" });
      }
    }
    await worksOn();
  });

  const containerUses = () =>
    uses.filter(({ expected }) => expected.kind === "legacy-container" || expected.kind === "iommufd");

  it("G5: two containers that are one file are refused", async () => {
    const [one, other] = containerUses().map(({ index }) => index);
    const descriptors = captured.descriptors.with(one ?? -1, captured.descriptors[other ?? -1] ?? -1);
    const { refusal } = await deliver({ ...captured, descriptors });
    expect(refusal).toMatchObject({ code: "ERR_OUT_OF_RANGE", message: expect.stringContaining("are one") });
    await worksOn();
  });

  it("a container that is new, and has nothing of the devices, is refused", async () => {
    using fresh = opened(mode === "iommufd" ? "/dev/iommu" : "/dev/vfio/vfio");
    before = resources();
    for (const { index } of containerUses()) {
      const { refusal } = await deliver({ ...captured, descriptors: captured.descriptors.with(index, fresh.number) });
      expect(refusal).toBeInstanceOf(VfioError);
    }
    await worksOn();
  });

  it("G24: thousands of descriptors are refused, and closed", { timeout: 120_000 }, async () => {
    using eventfd = new OwnedFd(native.eventfd(), "eventfd");
    before = resources();
    const [one] = captured.descriptors;
    for (const count of [captured.descriptors.length + 1, 253, 254, 1000, 16_000, 17_000]) {
      const extra = new Array<number>(count - captured.descriptors.length).fill(eventfd.number);
      const { refusal } = await deliver({ ...captured, descriptors: [...captured.descriptors, ...extra] });
      // Nothing speaks of them; or they are more than this process may open, or than are taken at all.
      expect(refusal).toMatchObject({ code: expect.toBeOneOf(["EINVAL", "EPROTO", "EMFILE", "EMSGSIZE"]) });
    }
    expect((await deliver({ ...captured, descriptors: one === undefined ? [] : [one] })).refusal).toMatchObject({
      code: "EPROTO",
    });
    await worksOn();
  });

  it("bytes that were cut short or changed are refused", { timeout: 120_000 }, async () => {
    const { manifest } = captured;
    const prng = new Prng(Number(process.env.VFIO_SEED ?? 1));
    const cut = Array.from({ length: 40 }, () => manifest.slice(0, prng.below(manifest.length)));
    const changed = Array.from({ length: 160 }, () => {
      const bytes = manifest.slice();
      for (let many = prng.between(1, 4); many > 0; many--) {
        const at = prng.below(bytes.length);
        bytes[at] = (bytes[at] ?? 0) ^ prng.between(1, 255);
      }
      return bytes;
    });
    for (const bytes of [...cut, ...changed]) {
      if (Buffer.compare(bytes, manifest) === 0) continue;
      const { refusal } = await deliver({ ...captured, manifest: bytes });
      expect(refusal).toMatchObject({ name: "VfioError", syscall: "decode" });
    }
    await worksOn();
  });

  it("a last part that was cut short or changed is refused, and nothing of it is used", {
    timeout: 120_000,
  }, async () => {
    const prng = new Prng(Number(process.env.VFIO_SEED ?? 1));
    for (let round = 0; round < 20; round++) {
      const [out, back] = await carriers();
      const changed: OutgoingCarrier = {
        name: "socket",
        blockers: () => [],
        prepare: (parcel, wait) => out.prepare(parcel, wait),
        transfer: (late, wait) => {
          const bytes = prng.oneIn(2) ? late.slice(0, prng.below(late.length)) : late.slice();
          if (bytes.length === late.length) {
            const at = prng.below(bytes.length);
            bytes[at] = (bytes[at] ?? 0) ^ prng.between(1, 255);
          }
          return out.transfer(bytes, wait);
        },
        commit: () => out.commit(),
        released: () => out.released(),
        acknowledged: (wait) => out.acknowledged(wait),
        abort: (reason) => out.abort(reason),
        close: () => out.close(),
      };
      const [old, successor] = await Promise.allSettled([
        update.handOver(changed),
        receiveLiveUpdate(back).then((incoming) => incoming.takeOver()),
      ]);
      expect(old).toMatchObject({ reason: { code: "ECANCELED" } });
      expect(successor).toMatchObject({ reason: { syscall: "decode" } });
    }
    await worksOn();
  });

  describe("a successor that", () => {
    /** The old process's hand-over, to whoever speaks at the other end. */
    async function against(speak: (socket: UnixSocket) => Promise<void>): Promise<unknown> {
      const [old, other] = UnixSocket.pair("seqpacket");
      const timeouts = { prepare: 200, transfer: 200, acknowledge: 200 };
      const speaking = speak(other);
      try {
        const carrier = await socketToSuccessor({ socket: old }, { signal: AbortSignal.timeout(500) });
        await update.handOver(carrier, { timeouts });
        throw new Error("it was handed over");
      } catch (error) {
        return error;
      } finally {
        await speaking.catch(() => {});
        other.close();
      }
    }

    const TYPES = ["hello", "process", "parcel", "ready", "frozen", "taken", "commit", "released", "done"] as const;
    const into = new Uint8Array(65_536);

    async function say(
      socket: UnixSocket,
      type: (typeof TYPES)[number],
      { bytes = new Uint8Array(0), fds = [] as readonly number[] } = {},
    ): Promise<void> {
      const packet = new Uint8Array(16 + bytes.length);
      const view = new DataView(packet.buffer);
      view.setUint32(0, 0x554c4656, true);
      view.setUint16(4, 1, true);
      view.setUint16(6, TYPES.indexOf(type), true);
      view.setUint32(8, bytes.length, true);
      packet.set(bytes, 16);
      await socket.send(packet, fds);
    }

    /** Takes the next packet, and the descriptors that come with it, which are acknowledged and closed. */
    async function hear(socket: UnixSocket): Promise<void> {
      const { descriptors } = await socket.receive(into, { room: 253, signal: AbortSignal.timeout(5000) });
      const view = new DataView(into.buffer);
      if (view.getUint16(4, true) === 2) {
        const answer = new Uint8Array(16);
        new DataView(answer.buffer).setUint32(0, 0x554c4656, true);
        new DataView(answer.buffer).setUint16(4, 4, true);
        new DataView(answer.buffer).setUint32(8, view.getUint32(8, true) + descriptors.length, true);
        await socket.send(answer);
      }
      for (const each of descriptors) each.close();
    }

    const hello = { bytes: new Uint8Array(Uint32Array.of(1, 1, 1).buffer) };
    /** As a successor would, until it has the parcel. */
    const getParcel = async (socket: UnixSocket) => {
      await say(socket, "hello", hello);
      // hello; process, with its descriptor; parcel, with its descriptors
      for (let packets = 0; packets < 5; packets++) await hear(socket);
    };

    const code = (...codes: string[]) => expect.objectContaining({ code: expect.toBeOneOf(codes) });

    it.each<[string, (socket: UnixSocket) => Promise<void>, unknown]>([
      ["says nothing", async () => {}, expect.objectContaining({ name: "TimeoutError" })],
      [
        "says hello and no more",
        (socket) => say(socket, "hello", hello),
        expect.objectContaining({ name: "TimeoutError" }),
      ],
      ["takes the parcel and stalls", getParcel, code("ETIMEDOUT")],
      [
        "is ready and stalls when all is frozen",
        async (socket) => {
          await getParcel(socket);
          await say(socket, "ready");
        },
        code("ETIMEDOUT"),
      ],
      [
        "has taken what it was not given",
        async (socket) => {
          await getParcel(socket);
          await say(socket, "taken");
        },
        code("EPROTO"),
      ],
      [
        "is ready twice",
        async (socket) => {
          await getParcel(socket);
          await say(socket, "ready");
          await say(socket, "ready");
        },
        code("EPROTO"),
      ],
      [
        "is done at once",
        async (socket) => {
          await say(socket, "hello", hello);
          await say(socket, "done");
        },
        code("EPROTO"),
      ],
      [
        "gives the word itself",
        async (socket) => {
          await getParcel(socket);
          await say(socket, "commit");
        },
        code("EPROTO"),
      ],
      [
        "sends descriptors where none belong",
        async (socket) => {
          await getParcel(socket);
          await say(socket, "ready", { fds: captured.descriptors.slice(0, 3) });
        },
        code("EPROTO"),
      ],
      [
        "says more than it may",
        async (socket) => {
          await getParcel(socket);
          await say(socket, "ready", { bytes: new Uint8Array(60_000) });
        },
        code("EMSGSIZE"),
      ],
      [
        "goes away",
        async (socket) => {
          await getParcel(socket);
          socket.close();
        },
        code("ECONNRESET"),
      ],
    ])("%s", async (_, speak, error) => {
      expect(await against(speak)).toEqual(error);
      await worksOn();
    });
  });

  it("an old process that stalls, at any step, is not waited for for ever", async () => {
    const stalls: [string, (out: OutgoingCarrier) => Promise<unknown>][] = [
      ["before the parcel", async () => {}],
      ["with everything frozen", async (out) => out.prepare(captured, { signal: AbortSignal.timeout(5000) })],
    ];
    for (const [, speak] of stalls) {
      const [out, back] = await carriers();
      const speaking = speak(out).catch(() => {});
      const receiving = receiveLiveUpdate(back, { timeout: 300 }).then((incoming) =>
        incoming.takeOver({ timeout: 100 }),
      );
      await expect(receiving).rejects.toMatchObject({ code: "ETIMEDOUT" });
      await speaking;
      out.close();
    }
    await worksOn();
  });
});
