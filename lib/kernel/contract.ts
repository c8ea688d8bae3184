/**
 * The contract of the native addon.
 *
 * One function for each kernel request, with positional arguments. A function that can be refused by the kernel returns
 * a value >= 0 or `-errno`; it throws only for an argument of the wrong type, which is a mistake in this package.
 * Policy (retries, choices, messages) belongs to the callers.
 *
 * @module
 */

declare const mappingHandle: unique symbol;
declare const pollHandle: unique symbol;

/** A mapping of memory into this process. Never shown to users. */
export interface MappingHandle {
  readonly [mappingHandle]: true;
}

/** A watched descriptor. Never shown to users. */
export interface PollHandle {
  readonly [pollHandle]: true;
}

/** What every info request answers: `bytes` is the whole buffer, with the capability chain if there was room. */
export interface RawInfo {
  /** The size that the whole answer needs. Larger than what was offered: ask again with that much. */
  readonly argsz: number;
  readonly flags: number;
  readonly bytes: Uint8Array;
}

/** `VFIO_IOMMU_GET_INFO` */
export interface RawIommuInfo extends RawInfo {
  readonly iovaPgsizes: bigint;
  readonly capOffset: number;
}

/** `VFIO_DEVICE_GET_INFO` */
export interface RawDeviceInfo extends RawInfo {
  readonly numRegions: number;
  readonly numIrqs: number;
  readonly capOffset: number;
}

/** `VFIO_DEVICE_GET_REGION_INFO` */
export interface RawRegionInfo extends RawInfo {
  readonly size: bigint;
  readonly offset: bigint;
  readonly capOffset: number;
}

/** `VFIO_DEVICE_GET_IRQ_INFO` */
export interface RawIrqInfo extends RawInfo {
  readonly count: number;
}

/** `VFIO_DEVICE_GET_PCI_HOT_RESET_INFO`; `devices` is empty where the room was too small for `count`. */
export interface RawHotResetInfo {
  readonly flags: number;
  readonly count: number;
  readonly devices: readonly {
    /** The group, or the device's id in the iommufd, as the flags say. */
    readonly id: number;
    readonly segment: number;
    readonly bus: number;
    readonly devfn: number;
  }[];
}

/** `IOMMU_IOAS_IOVA_RANGES`: the count is meant also when the status is `-EMSGSIZE`. */
export interface RawIovaRanges {
  readonly status: number;
  readonly count: number;
  readonly alignment: bigint;
}

type Bytes = ArrayBufferView;
type U64 = number | bigint;

/** What the addon exports. `int` results are `>= 0` or `-errno`. */
export interface Native {
  // file.cc. Descriptors that a function makes are close-on-exec, and are closed with the environment (a worker's end).
  open(path: string, flags: number): number;
  close(fd: number): number;
  dup(fd: number): number;
  adopt(fd: number): number;
  pread(fd: number, bytes: Bytes, position: U64): number;
  pwrite(fd: number, bytes: Bytes, position: U64): number;
  ftruncate(fd: number, length: U64): number;
  flock(fd: number, operation: number): number;
  ioctl(fd: number, request: number, bytes?: Bytes): number;

  // memory.cc
  mmap(length: U64, prot: number, flags: number, fd: number, offset: U64, alignment: U64): MappingHandle | number;
  munmap(mapping: MappingHandle): number;
  mappingAddress(mapping: MappingHandle): number;
  mappingArrayBuffer(mapping: MappingHandle, offset: U64, length: U64): ArrayBuffer | number;
  detachArrayBuffer(buffer: ArrayBuffer): number;
  madvise(mapping: MappingHandle, offset: U64, length: U64, advice: number): number;
  mlock(mapping: MappingHandle, offset: U64, length: U64): number;
  memfdCreate(name: string, flags: number): number;
  pageSize(): number;

  // mmio.cc. These check offsets and values themselves, since a check in TypeScript would cost as much again. RegionMap turns
  // what they throw into an error that names the argument and the region.
  mmioRead8(mapping: MappingHandle, offset: number): number;
  mmioRead16(mapping: MappingHandle, offset: number): number;
  mmioRead32(mapping: MappingHandle, offset: number): number;
  mmioRead64(mapping: MappingHandle, offset: number): bigint;
  mmioWrite8(mapping: MappingHandle, offset: number, value: number): void;
  mmioWrite16(mapping: MappingHandle, offset: number, value: number): void;
  mmioWrite32(mapping: MappingHandle, offset: number, value: number): void;
  mmioWrite64(mapping: MappingHandle, offset: number, value: U64): void;
  mmioRun(mapping: MappingHandle, program: Uint32Array): number;

  // poller.cc. Events are 1 (readable) and 2 (writable); a callback's negative number is -errno, after which nothing is
  // watched until the events are set anew. Two of one descriptor on one loop are refused (-EEXIST).
  watchStart(fd: number, events: number, callback: (ready: number) => void): PollHandle | number;
  watchSetEvents(poll: PollHandle, events: number): number;
  pollStop(poll: PollHandle): number;
  pollSetRef(poll: PollHandle, referenced: boolean): number;
  pollFd(fd: number, events: number, timeout: number): number;
  /** `table` holds {descriptor, events, ready} for each of at most 16. */
  pollFds(table: Int32Array, timeout: number): number;

  // eventfd.cc
  eventfd(): number;
  eventfdRead(fd: number): number | bigint;
  eventfdReadNow(fd: number): number | bigint;
  eventfdPending(fd: number): number;
  eventfdWrite(fd: number, count: U64): number;
  eventfdWait(fd: number, timeout: number): number | bigint;
  pollStart(fd: number, callback: (count: number) => void): PollHandle | number;

  // socket.cc. A path that begins with NUL is a name in the abstract namespace.
  socket(type: number, nonblocking: boolean): number;
  socketpair(type: number, nonblocking: boolean, out: Int32Array): number;
  socketBind(fd: number, path: string): number;
  socketListen(fd: number, backlog: number): number;
  socketAccept(fd: number, nonblocking: boolean): number;
  socketConnect(fd: number, path: string): number;
  socketShutdown(fd: number, how: number): number;
  socketGetOption(fd: number, option: number): number;
  socketSetOption(fd: number, option: number, value: number): number;
  /** `out` is {pid, uid, gid}. */
  socketPeerCredentials(fd: number, out: Uint32Array): number;
  /** Never raises SIGPIPE. At most 253 descriptors, which go with the first byte that goes. */
  sendmsg(fd: number, bytes: Bytes, offset: number, length: number, fds: Int32Array | undefined, flags: number): number;
  /**
   * The bytes received. `out[0]` is how many descriptors came, `out[1]` the message's flags (MSG_TRUNC, MSG_CTRUNC), and
   * the descriptors are from `out[2]` on, as many as there is room for. They are the caller's to close.
   */
  recvmsg(fd: number, bytes: Bytes, offset: number, length: number, out: Int32Array, flags: number): number;

  // process.cc
  setCloseOnExec(fd: number, closeOnExec: boolean): number;
  execve(path: string, args: readonly string[], env: readonly string[]): number;
  kcmpFile(first: number, second: number): number;
  pidfdOpen(pid: number): number;
  addSeals(fd: number, seals: number): number;
  getSeals(fd: number): number;

  // vfio_container.cc
  vfioGetApiVersion(container: number): number;
  vfioCheckExtension(container: number, extension: number): number;
  vfioSetIommu(container: number, type: number): number;
  vfioIommuGetInfo(container: number, argsz: number): RawIommuInfo | number;
  vfioIommuMapDma(container: number, flags: number, vaddr: U64, iova: U64, size: U64): number;
  vfioIommuMapDmaAsync(container: number, flags: number, vaddr: U64, iova: U64, size: U64): Promise<number>;
  vfioIommuMapDmaBatch(container: number, batch: Bytes, count: number): number;
  vfioIommuUnmapDma(container: number, flags: number, iova: U64, size: U64): number | bigint;
  vfioIommuUnmapDmaAsync(container: number, iova: U64, size: U64): Promise<number>;
  vfioIommuUnmapDmaDirty(container: number, iova: U64, size: U64, pageSize: U64, bitmap: Bytes): number | bigint;
  vfioIommuDirtyPages(container: number, flags: number): number;
  vfioIommuDirtyPagesGet(container: number, iova: U64, size: U64, pageSize: U64, bitmap: Bytes): number;
  vfioGroupGetStatus(group: number): number;
  vfioGroupSetContainer(group: number, container: number): number;
  vfioGroupUnsetContainer(group: number): number;
  vfioGroupGetDeviceFd(group: number, name: string): number;

  // vfio_device.cc
  vfioDeviceGetInfo(device: number, argsz: number): RawDeviceInfo | number;
  vfioDeviceGetRegionInfo(device: number, index: number, argsz: number): RawRegionInfo | number;
  vfioDeviceGetIrqInfo(device: number, index: number): RawIrqInfo | number;
  vfioDeviceSetIrqs(device: number, flags: number, index: number, start: number, count: number, data?: Bytes): number;
  vfioDeviceReset(device: number): number;
  vfioDeviceResetAsync(device: number): Promise<number>;
  vfioDeviceGetPciHotResetInfo(device: number, room: number): RawHotResetInfo | number;
  vfioDevicePciHotReset(device: number, files: Int32Array): number;
  vfioDeviceIoeventfd(device: number, flags: number, offset: U64, data: U64, eventfd: number): number;
  /** `data` holds the kernel's answer afterwards, for a SET too. A descriptor in it, or as the result, is the caller's. */
  vfioDeviceFeature(device: number, flags: number, data?: Bytes): number;
  vfioDeviceBindIommufd(device: number, iommufd: number, token?: Bytes): number;
  vfioDeviceAttachIommufdPt(device: number, pt: number): number;
  vfioDeviceDetachIommufdPt(device: number): number;

  // iommufd.cc
  iommufdDestroy(iommufd: number, id: number): number;
  iommufdIoasAlloc(iommufd: number): number;
  iommufdIoasIovaRanges(iommufd: number, ioas: number, ranges: BigUint64Array): RawIovaRanges;
  iommufdIoasAllowIovas(iommufd: number, ioas: number, ranges: BigUint64Array): number;
  iommufdIoasMap(iommufd: number, flags: number, ioas: number, vaddr: U64, iova: U64, length: U64): number | bigint;
  iommufdIoasMapFixedAsync(
    iommufd: number,
    flags: number,
    ioas: number,
    vaddr: U64,
    iova: U64,
    length: U64,
  ): Promise<number>;
  iommufdIoasMapFile(
    iommufd: number,
    flags: number,
    ioas: number,
    file: number,
    start: U64,
    iova: U64,
    length: U64,
  ): number | bigint;
  iommufdIoasMapFileFixedAsync(
    iommufd: number,
    flags: number,
    ioas: number,
    file: number,
    start: U64,
    iova: U64,
    length: U64,
  ): Promise<number>;
  iommufdIoasMapBatch(iommufd: number, ioas: number, batch: Bytes, count: number): number;
  iommufdIoasCopy(
    iommufd: number,
    flags: number,
    toIoas: number,
    fromIoas: number,
    toIova: U64,
    fromIova: U64,
    length: U64,
  ): number | bigint;
  iommufdIoasUnmap(iommufd: number, ioas: number, iova: U64, length: U64): number | bigint;
  iommufdIoasUnmapAsync(iommufd: number, ioas: number, iova: U64, length: U64): Promise<number>;
  iommufdOption(iommufd: number, option: number, operation: number, object: number, value: U64): number;
  iommufdVfioIoas(iommufd: number, operation: number, ioas: number): number;
  iommufdIoasChangeProcess(iommufd: number): number;

  // kvm.cc
  kvmGetApiVersion(kvm: number): number;
  kvmCheckExtension(kvmOrVm: number, extension: number): number;
  kvmCreateVm(kvm: number, type: number): number;
  kvmEnableCap(vm: number, cap: number, argument: U64): number;
  kvmCreateIrqchip(vm: number): number;
  kvmCreateVcpu(vm: number, id: number): number;
  kvmGetLapic(vcpu: number, registers: Bytes): number;
  kvmSetLapic(vcpu: number, registers: Bytes): number;
  kvmIrqLine(vm: number, gsi: number, level: boolean): number;
  kvmSetGsiRouting(vm: number, entries: Uint32Array): number;
  kvmSignalMsi(vm: number, address: U64, data: number, device?: number): number;
  kvmIrqfd(vm: number, eventfd: number, gsi: number, flags: number, resample: number): number;
  kvmIoeventfd(vm: number, eventfd: number, address: U64, length: number, flags: number, match: U64): number;
  kvmCreateDevice(vm: number, type: number): number;
  kvmHasDeviceAttr(device: number, group: number, attribute: U64): number;
  kvmSetDeviceAttrFd(device: number, group: number, attribute: U64, file: number): number;
}
