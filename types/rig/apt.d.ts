/** One source of packages, as apt's deb822 format has it (sources.list(5)). */
export interface AptSource {
    /** `http://.../debian`, `mirror+file:...`, ... */
    readonly uri: string;
    /** `bookworm`, `bookworm-updates`, ... */
    readonly suite: string;
    /** `main`, `contrib`, ... */
    readonly components: readonly string[];
    /** What apt should trust: a keyring's path or a key block, and the like, by deb822 field name. */
    readonly trust: Readonly<Record<string, string>>;
}
/** Read a `.list` file: one line a source, options in brackets. Only binary packages' sources count. */
export declare function parseSourcesList(text: string): AptSource[];
/** Read a deb822 `.sources` file: stanzas of fields, whose continuation lines are indented. */
export declare function parseDeb822Sources(text: string): AptSource[];
/**
 * All apt sources of a machine.
 *
 * @param directory apt's configuration directory
 */
export declare function readSources(directory?: string): Promise<AptSource[]>;
/**
 * The sources that the rig uses: the machine's own for its Debian release, and one for each other suite, from the mirror
 * that serves the release.
 *
 * @param sources the machine's sources
 * @param codename the machine's release: `bookworm`
 * @param suites the suites wanted beside it: `bookworm-backports`, `trixie-backports`
 * @returns undefined if none of the sources serves the release
 */
export declare function rigSources(sources: readonly AptSource[], codename: string, suites: readonly string[]): AptSource[] | undefined;
/** The text of a deb822 `.sources` file. */
export declare function formatSources(sources: readonly AptSource[]): string;
/**
 * Make a private apt state: its own sources, package lists and archives; the installed packages are the machine's.
 *
 * @param directory where it lives; it is made if need be
 * @returns the options for `apt-get` and `apt-cache`
 */
export declare function makeAptState(directory: string, sources: readonly AptSource[]): Promise<string[]>;
