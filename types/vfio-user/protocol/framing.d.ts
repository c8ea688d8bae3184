import type { OwnedFd } from "../../kernel/fd.js";
import { type Header } from "./constants.js";
/** A message that has come in whole. */
export interface Frame {
    readonly header: Header;
    /** Without the header. Its memory is the frame's own. */
    readonly payload: Uint8Array;
    /** The descriptors that came with it. They belong to whoever takes the frame. */
    readonly fds: readonly OwnedFd[];
    /**
     * Why it cannot be meant: it was longer than the limit (and its payload is gone), it came with more descriptors than the
     * limit, or descriptors came with a later part of it. Those descriptors are closed.
     */
    readonly fault: "length" | "descriptors" | undefined;
}
/** What a peer may send at most. */
export interface FrameLimits {
    /** Of one message with its header, in bytes. */
    readonly messageSize: number;
    /** Descriptors with one message. */
    readonly fds: number;
}
/**
 * Cuts a stream into messages.
 *
 * It holds one chunk of 64 KiB and at most one message of the limit's length, whatever the peer sends, and the memory of two that
 * were given back. A message beyond the
 * limit is read to its end and thrown away, with its descriptors, so that the next one is found.
 *
 * Descriptors arrive with the first part of what was sent in one call; the kernel ends a reception behind that part. So they
 * belong to the last message that begins in the piece that they came with. (A sender that puts more messages behind one with
 * descriptors into one call breaks this; none does.)
 */
export declare class FrameReader {
    #private;
    /** What small messages are received into: see {@link offer}. */
    readonly view: DataView<ArrayBuffer>;
    constructor(limits: FrameLimits);
    /** What was negotiated. Counts from the next message on. */
    set limits(limits: FrameLimits);
    /** Whether the stream stands within a message. */
    get inMessage(): boolean;
    /** Where to receive next: fill it from its beginning, as far as there is something. Never empty. */
    room(): Uint8Array;
    /**
     * Offers what was received into {@link room}, without descriptors, to somebody who reads messages where they lie: whole ones
     * within the limit, from the first on, until one is not taken.
     *
     * @param take is given a view, and where in it the message begins and how long it is. All of it is there until {@link room} is
     *   asked for again
     * @returns how many bytes were not taken: they are for {@link advance}
     */
    offer(count: number, take: (view: DataView, at: number, size: number) => boolean): number;
    /**
     * Takes in what was received into {@link room}.
     *
     * @param count how many bytes, at least one
     * @param fds the descriptors that came with them: they belong to the reader, and then to the frames
     * @returns the messages that are complete now
     * @throws ProtocolError for a header that cannot be one: nothing behind it can be found. All descriptors are closed
     */
    advance(count: number, fds?: readonly OwnedFd[]): readonly Frame[];
    /** Takes the memory of a long payload back: nobody looks at it any more. */
    recycle({ payload }: Frame): void;
    /** Closes the descriptors of a message that will not be completed. */
    close(): void;
}
/** Closes the descriptors of a message that nobody wants. */
export declare function release({ fds }: Frame): void;
/** Memory for one small message after the other. */
export declare class Scratch {
    #private;
    readonly view: DataView;
    /** @param length of the longest message, in bytes */
    constructor(length: number);
    /** Its first bytes. */
    message(length: number): Uint8Array;
}
/**
 * Sends part of a message; the descriptors go with its first byte.
 *
 * @returns how many bytes went, 0 if there is no room
 */
export type Send = (bytes: Uint8Array, fds: readonly number[]) => number;
/** Messages that wait for room in the socket. It sets no limit of its own: who writes looks at {@link queued}. */
export declare class FrameWriter {
    #private;
    constructor(send: Send);
    /** How many bytes wait. */
    get queued(): number;
    /**
     * Sends a message after those before it, as much as there is room for now.
     *
     * @param fds borrowed until they were sent
     * @param sent called when message and descriptors are not needed any more
     * @throws what the socket throws: then what waits will not go
     */
    write(message: Uint8Array, fds?: readonly number[], sent?: () => void): void;
    /**
     * The same for a message without descriptors whose memory is used again: what there is no room for is copied. If this throws,
     * nothing of it has gone or waits.
     *
     * @returns the copy, if there is one
     */
    writeCopy(message: Uint8Array): Uint8Array | undefined;
    /** Sends what waits, as much as there is room for. Throws as {@link write}. */
    flush(): void;
    /** Takes a message back, with its descriptors. False if some of it has gone already. */
    withdraw(message: Uint8Array): boolean;
    /** Forgets what waits. */
    close(): void;
}
