declare const canonical: unique symbol;
/** A PCI address in the kernel's spelling, such as `0000:01:00.0`. It is a string, and may be used as one. */
export type PciAddress = string & {
    readonly [canonical]: "PciAddress";
};
/** The numbers that an address is made of. */
export interface PciAddressParts {
    /** 0 to 0xffffffff. The first 16 bits are the firmware's; the kernel numbers its own (Intel VMD) from 0x10000. */
    readonly domain: number;
    /** 0 to 0xff */
    readonly bus: number;
    /** 0 to 0x1f */
    readonly device: number;
    /** 0 to 7 */
    readonly function: number;
}
/**
 * Takes an address apart.
 *
 * @param address `0000:01:00.0`, or `01:00.0` in domain 0
 * @throws TypeError (`ERR_INVALID_ARG_TYPE`) if it is not a string, `ERR_INVALID_ARG_VALUE` if it is not an
 * address
 */
export declare function parsePciAddress(address: string): PciAddressParts;
/**
 * The kernel's spelling of an address.
 *
 * @throws RangeError (`ERR_OUT_OF_RANGE`) if a part is out of its range
 */
export declare function formatPciAddress(parts: PciAddressParts): PciAddress;
/**
 * The address in the kernel's spelling: `01:00.0` becomes `0000:01:00.0`, capitals become small letters.
 *
 * @throws TypeError or RangeError, as {@link parsePciAddress}
 */
export declare function pciAddress(address: string): PciAddress;
export {};
