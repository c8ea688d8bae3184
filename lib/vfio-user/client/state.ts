/**
 * What a client knows of its server and cannot ask for again while another process has the connection: a client that hands its
 * connection over says it, and its successor goes on from it. The server notices nothing.
 *
 * `Fd` is a number where descriptors are borrowed, an {@link OwnedFd} where they belong to whoever reads this.
 *
 * @module
 */

/** What both sides have agreed upon, or the server has told. */
export interface Agreement {
  readonly minor: number;
  /** The most descriptors that the server takes with one message. */
  readonly maxFds: number;
  /** The most bytes in one access. */
  readonly maxTransfer: number;
  /** The most ranges of memory at a time. */
  readonly maxMaps: number;
  /** The page sizes of memory, or'ed together. */
  readonly pageSizes: bigint;
  readonly writeMultiple: boolean;
}

/** A connection, between two messages. */
export interface ConnectionState<Fd> {
  readonly socket: Fd;
  /** The server's requests come by it, if there is one. */
  readonly twin: Fd | undefined;
  readonly agreement: Agreement;
}

/** What the server has said of a region, or the `-errno` that it has refused it with. */
export interface RegionState<Fd> {
  readonly index: number;
  readonly status: number;
  readonly flags: number;
  readonly size: bigint;
  readonly offset: bigint;
  readonly capOffset: number;
  /** The whole answer, with its capabilities. */
  readonly bytes: Uint8Array;
  readonly file: Fd | undefined;
}

/** What the server has said of a kind of interrupt, or the `-errno` that it has refused it with. */
export interface IrqInfoState {
  readonly index: number;
  readonly status: number;
  readonly flags: number;
  readonly count: number;
}

/** What the server has said of its device. */
export interface PortState<Fd> {
  readonly flags: number;
  readonly numRegions: number;
  readonly numIrqs: number;
  readonly regions: readonly RegionState<Fd>[];
  readonly irqs: readonly IrqInfoState[];
  /** The regions whose writes are sent without waiting for an answer. */
  readonly posted: readonly boolean[];
}
