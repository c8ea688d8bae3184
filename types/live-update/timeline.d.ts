/**
 * How long each part of a hand-over took, over both processes.
 *
 * @module
 */
/** When a phase began, in nanoseconds of the monotonic clock, which all processes of a machine share. */
export interface PhaseMark {
    readonly phase: string;
    readonly at: bigint;
}
/** What a hand-over took. */
export interface LiveUpdateReport {
    /**
     * The phases in their order, with their lengths in milliseconds: `prepare` (manifest and descriptors travel, the successor gets
     * ready), `stop` (the program's own), `freeze`, `save` (the program's own state), `invalidate`, `transfer`, `take over`,
     * `commit`, `reconnect`.
     */
    readonly phases: readonly {
        readonly name: string;
        readonly milliseconds: number;
    }[];
    /** From the first interrupt that was held back until the last one that came through again, in milliseconds. */
    readonly blackout: number;
}
export declare class Timeline {
    #private;
    /** @param former what another process has noted before */
    constructor(former?: readonly PhaseMark[]);
    get marks(): readonly PhaseMark[];
    /** A phase begins, and the one before ends. */
    begin(phase: string): void;
    /** The last phase ends. */
    end(): void;
    /** What the successor adds, for the old process. */
    encode(): Uint8Array;
    /** What {@link encode} made; nothing if it is something else, since by then the hand-over is over and nobody can refuse. */
    static decode(bytes: Uint8Array): Timeline;
    get report(): LiveUpdateReport;
}
