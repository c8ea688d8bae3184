/** What one side can do, or takes. What is left out has the value in {@link defaultCapabilities}. */
export interface Capabilities {
    /** The most descriptors that the sender takes with one message. */
    readonly max_msg_fds?: number;
    /** The most bytes that the sender takes or gives in one access to a region or to memory. */
    readonly max_data_xfer_size?: number;
    /** The most ranges of memory at a time. */
    readonly max_dma_maps?: number;
    /** The page sizes of memory, or'ed together: 64 bits. */
    readonly pgsizes?: number | bigint;
    /** Whether VFIO_USER_REGION_WRITE_MULTI is understood. */
    readonly write_multiple?: boolean;
    /** Whether the server's commands travel over a socket of their own; in a reply, which of the descriptors it is. */
    readonly twin_socket?: {
        readonly supported?: boolean;
        readonly fd_index?: number;
    };
    /** Not in the specification; QEMU sends it, for libvfio-user's bitmap of dirty pages. */
    readonly migration?: {
        readonly pgsize?: number | bigint;
        readonly max_bitmap_size?: number | bigint;
    };
}
/** What the payload of VFIO_USER_VERSION says. */
export interface Version {
    readonly major: number;
    readonly minor: number;
    /** Left out for a message without version data. */
    readonly capabilities?: Capabilities;
}
/** What a side that does not say otherwise can do, by the specification. */
export declare const defaultCapabilities: {
    readonly max_msg_fds: 1;
    readonly max_data_xfer_size: number;
    readonly max_dma_maps: 65535;
    readonly pgsizes: 4096;
};
/** The longest version data that is read: QEMU's is some 200 bytes long. */
export declare const MAX_VERSION_SIZE = 4096;
export declare function encodeVersion({ major, minor, capabilities }: Version): Uint8Array;
/**
 * Unknown capabilities are left out, as a newer peer may have them; known ones of the wrong type or without sense are refused.
 *
 * @throws ProtocolError
 */
export declare function decodeVersion(name: string, payload: Uint8Array): Version;
