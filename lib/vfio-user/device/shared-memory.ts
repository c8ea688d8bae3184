/**
 * Memory of this process that a client maps: a BAR.
 *
 * @module
 */
import { check, VfioError } from "../../base/errors.js";
import { OwnedFd } from "../../kernel/fd.js";
import { type MappingHandle, native } from "../../kernel/native.js";
import { F_SEAL_GROW, F_SEAL_SEAL, F_SEAL_SHRINK, MFD_ALLOW_SEALING } from "../../memory/memory-file.js";

const PROT_READ_WRITE = 3;
const MAP_SHARED = 0x01;

/**
 * A memfd with an `ArrayBuffer` over it. It is sealed against every change of its length: a client that cut it would end
 * whoever touches it.
 */
export class SharedMemory {
  readonly bytes: Uint8Array;
  readonly #fd: OwnedFd;
  readonly #mapping: MappingHandle;
  readonly #buffer: ArrayBuffer;

  /** @throws VfioError */
  constructor(name: string, length: number) {
    const object = `the shared memory ${name}`;
    const number = check(native.memfdCreate(name, MFD_ALLOW_SEALING), () => ({ syscall: "memfd_create", object }));
    const fd = new OwnedFd(number, object);
    let mapping: MappingHandle | number | undefined;
    try {
      check(native.ftruncate(fd.number, length), () => ({ syscall: "ftruncate", args: { length }, object }));
      const seals = F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL;
      check(native.addSeals(fd.number, seals), () => ({ syscall: "fcntl", args: { seals }, object }));
      mapping = native.mmap(length, PROT_READ_WRITE, MAP_SHARED, fd.number, 0, 0);
      if (typeof mapping === "number") {
        throw new VfioError({ errno: mapping, syscall: "mmap", args: { length }, object });
      }
      const buffer = native.mappingArrayBuffer(mapping, 0, length);
      if (typeof buffer === "number") {
        throw new VfioError({ errno: buffer, syscall: "napi_create_external_arraybuffer", args: { length }, object });
      }
      this.#fd = fd;
      this.#mapping = mapping;
      this.#buffer = buffer;
      this.bytes = new Uint8Array(buffer);
    } catch (error) {
      if (mapping !== undefined && typeof mapping !== "number") native.munmap(mapping);
      fd.close();
      throw error;
    }
  }

  /** The memfd, borrowed. */
  get fd(): number {
    return this.#fd.number;
  }

  /** Empties every view of it and gives it back. A second call does nothing. */
  close(): void {
    if (this.#fd.closed) return;
    this.#fd.close();
    // Somebody transferred the buffer: the memory is reachable where it cannot be detached, and must stay.
    if (native.detachArrayBuffer(this.#buffer) === 0) native.munmap(this.#mapping);
  }
}
