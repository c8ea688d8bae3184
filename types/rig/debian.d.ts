import type { ProgressListener } from "./progress.js";
/** What an `os-release` file says. */
export interface Release {
    /** `debian`, `ubuntu`, ... */
    readonly id: string;
    /** `bookworm`; empty if there is none. */
    readonly codename: string;
    /** `Debian GNU/Linux 12 (bookworm)` */
    readonly name: string;
}
/** Read an `os-release` file's text (os-release(5)). */
export declare function parseRelease(text: string): Release;
/** This machine's release. */
export declare function readRelease(): Promise<Release>;
/**
 * The suites beside a release's own that have what the rig needs and the release has not.
 *
 * The kernel's source must be 6.14 or newer (`IOMMU_IOAS_MAP_FILE`, `IOMMU_IOAS_CHANGE_PROCESS`), and a source package
 * depends on nothing, so any release can take it from trixie's backports. QEMU must be 8.0 or newer (`igb`) and must fit
 * the release's libraries. Releases after trixie have both.
 */
export declare function suitesFor(codename: string): {
    kernel: string[];
    qemu: string[];
};
/** The packages that QEMU comes in. */
export declare const qemuPackages: string[];
/** The packages that building the guest's kernel takes: `make bzImage` without modules, from an xz archive. */
export declare const buildPackages: string[];
/** Those of some packages that are not installed. */
export declare function missingPackages(names: readonly string[]): Promise<string[]>;
/** Debian's packages for the rig, through a private apt state. */
export declare class Debian {
    #private;
    readonly release: Release;
    /**
     * @param release this machine's
     * @param directory where the private state may live; it is made on first use
     */
    constructor(release: Release, directory: string, options?: {
        onProgress?: ProgressListener | undefined;
        signal?: AbortSignal | undefined;
    });
    /**
     * Install packages, if there is a way to.
     *
     * @returns false if this process may not install anything
     * @throws RigError if apt could not
     */
    install(packages: readonly string[], suite?: string): Promise<boolean>;
    /** The commands with which a user installs packages, as one text; with the sources that the machine lacks. */
    installCommands(packages: readonly string[], suite?: string): Promise<string>;
    /** The commands for packages of several suites. */
    commandsFor(groups: readonly {
        readonly packages: readonly string[];
        readonly suite?: string | undefined;
    }[]): Promise<string>;
    /** The newest source of the kernel that the suites offer: its package and the package's version. */
    newestKernelSource(): Promise<{
        name: string;
        version: string;
    } | undefined>;
    /** Download a package's archive into a directory and unpack its files there, without installing it. */
    unpack(name: string, version: string, directory: string): Promise<void>;
}
/** The newest of some `linux-source-<version>` packages. */
export declare function newestOf(names: readonly string[]): string | undefined;
/** A kernel's version as a number that orders: 6.14 is 6014. */
export declare function kernelVersion(text: string): number;
