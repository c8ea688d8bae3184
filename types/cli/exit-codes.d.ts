/** The exit codes of the command. */
export declare const exitCodes: {
    readonly done: 0;
    readonly failed: 1;
    readonly usage: 2;
    readonly noDevice: 3;
    readonly permission: 4;
    readonly busy: 5;
    /** The number that docker and timeout(1) use, too. */
    readonly rigFailed: 125;
    /** As env(1), timeout(1) and every shell have it; so is 127. */
    readonly notRun: 126;
    readonly notFound: 127;
    /** 128 + SIGINT. */
    readonly interrupted: 130;
    /** 128 + SIGPIPE. */
    readonly readerGone: 141;
};
/** What each exit code means, in the order of the codes. */
export declare const exitStatus: ReadonlyMap<number, string>;
