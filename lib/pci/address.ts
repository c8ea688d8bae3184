/**
 * PCI addresses: `domain:bus:device.function`, in hexadecimal, as `/sys/bus/pci/devices` spells them.
 *
 * Every function of this package takes an address as a plain string and accepts the short form (`01:00.0`) that
 * `lspci` prints; every result is in the full form, {@link PciAddress}.
 *
 * @module
 */
import { checkInteger, checkObject } from "../base/arguments.js";
import { argTypeError, argValueError } from "../base/errors.js";

declare const canonical: unique symbol;

/** A PCI address in the kernel's spelling, such as `0000:01:00.0`. It is a string, and may be used as one. */
export type PciAddress = string & { readonly [canonical]: "PciAddress" };

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

const form = "a PCI address like 0000:01:00.0 or 01:00.0 (domain:bus:device.function, in hexadecimal)";
const anyForm = /^(?:([0-9a-f]{1,8}):)?([0-9a-f]{1,2}):([0-9a-f]{1,2})\.([0-7])$/i;
const kernelForm = /^[0-9a-f]{4,8}:[0-9a-f]{2}:[01][0-9a-f]\.[0-7]$/;

function isPciAddress(text: string): text is PciAddress {
  return kernelForm.test(text);
}

/**
 * Takes an address apart.
 *
 * @param address `0000:01:00.0`, or `01:00.0` in domain 0
 * @throws TypeError (`ERR_INVALID_ARG_TYPE`) if it is not a string, `ERR_INVALID_ARG_VALUE` if it is not an
 * address
 */
export function parsePciAddress(address: string): PciAddressParts {
  if (typeof address !== "string") throw argTypeError("address", form, address);
  const [, domain = "0", bus, device, fn] = anyForm.exec(address.trim()) ?? [];
  if (bus === undefined || device === undefined || fn === undefined) throw argValueError("address", form, address);
  const parts = {
    domain: Number.parseInt(domain, 16),
    bus: Number.parseInt(bus, 16),
    device: Number.parseInt(device, 16),
    function: Number(fn),
  };
  if (parts.device > 0x1f) throw argValueError("address", `${form}, whose device is 00 to 1f`, address);
  return parts;
}

function hexField(name: string, value: number, max: number, digits: number): string {
  return checkInteger(name, value, 0, max).toString(16).padStart(digits, "0");
}

/**
 * The kernel's spelling of an address.
 *
 * @throws RangeError (`ERR_OUT_OF_RANGE`) if a part is out of its range
 */
export function formatPciAddress(parts: PciAddressParts): PciAddress {
  checkObject("parts", parts);
  const domain = hexField("domain", parts.domain, 0xffff_ffff, 4);
  const bus = hexField("bus", parts.bus, 0xff, 2);
  const device = hexField("device", parts.device, 0x1f, 2);
  const text = `${domain}:${bus}:${device}.${hexField("function", parts.function, 7, 1)}`;
  if (!isPciAddress(text)) throw argValueError("address", form, text);
  return text;
}

/**
 * The address in the kernel's spelling: `01:00.0` becomes `0000:01:00.0`, capitals become small letters.
 *
 * @throws TypeError or RangeError, as {@link parsePciAddress}
 */
export function pciAddress(address: string): PciAddress {
  return formatPciAddress(parsePciAddress(address));
}
