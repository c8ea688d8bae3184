/**
 * What a virtual machine made: it goes before the machine's descriptor does.
 *
 * @module
 */
export interface VmPart {
    close(): void;
}
