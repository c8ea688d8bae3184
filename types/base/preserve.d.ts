/**
 * What an object can do that goes from one process to another in a live update. Each kind of object implements it beside
 * everything else it knows; the live update asks objects, and not for their types.
 *
 * The words are those of the kernel's live update orchestrator:
 *
 * ```text
 *  old process   blockers   preserve   freeze   (thaw, if it is rolled back)   disown
 *  successor                 retrieve                                            finish
 * ```
 *
 * `retrieve` makes an object, so it is a static method or a function of each kind.
 *
 * @module
 */
/** What keeps something from being handed over. */
export interface Blocker {
    /** The device it is about; undefined if it is about a container, memory, or the program. */
    readonly device: string | undefined;
    /** What it is about, for messages. */
    readonly object: string;
    readonly why: string;
    readonly fix: string;
}
/** What else goes with an object, for one that depends on others. */
export interface UpdateScope {
    /** Whether this object (a container, a mapping, a device's attachment or kind of interrupt, a machine) is handed over too. */
    includes(object: object): boolean;
}
/** Makes of a borrowed descriptor the number that stands for it in the manifest. */
export type AddDescriptor = (fd: number) => number;
/**
 * An object of the old process.
 *
 * @typeParam State what a successor must know of it, in the manifest
 * @typeParam Frozen what can change to the last moment, in the manifest's frozen part
 */
export interface Preservable<State, Frozen = void> {
}
