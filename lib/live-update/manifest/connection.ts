/**
 * A device's interrupts that go to a guest.
 *
 * @module
 */
import { connectionCodes, deliveryCodes, maskingCodes } from "./codes.js";
import { MAX_VECTORS } from "./device.js";
import { code, item, list, name, optionalDescriptor, quote, text, u32, type ValueOf, variants } from "./schema.js";

/** A bound that no host comes near. */
export const MAX_CONNECTIONS = 65_536;

const target = {
  /** The program's name of the virtual machine. */
  machine: name(),
  container: text(),
  /** Its address in the container. */
  device: text(),
};
interface Target {
  readonly machine: string;
  readonly device: string;
}

function nameOf(kind: string, { device, machine }: Target): string {
  return `the connection of ${kind} of ${quote(device)} to machine ${quote(machine)}`;
}

const line = item({ ...target, gsi: u32(), delivery: code(deliveryCodes) }, { name: (value) => nameOf("intx", value) });

const vector = item(
  {
    index: u32(),
    /** The second eventfd of masking by eventfd. */
    guest: optionalDescriptor(),
  },
  {
    descriptors: {
      guest: ({ index }, connection) => ({
        expected: { kind: "eventfd" },
        what: `the guest's eventfd of vector ${index} in ${connection}`,
      }),
    },
  },
);

const messages = (kind: "msi" | "msix") =>
  item(
    { ...target, masking: code(maskingCodes), vectors: list(vector, MAX_VECTORS) },
    {
      name: (value) => nameOf(kind, value),
      rule({ masking, vectors }, name, refuse) {
        if (masking === "eventfd" && kind !== "msix") {
          throw refuse(`${name()} masks by eventfd, which only msix does`);
        }
        for (const { index, guest } of vectors) {
          if ((guest !== undefined) === (masking === "eventfd")) continue;
          const found = guest === undefined ? "no" : "a";
          throw refuse(`vector ${index} in ${name()} has ${found} second eventfd, and masks by ${masking}`);
        }
      },
    },
  );

export const connection = variants("kind", connectionCodes, {
  intx: line,
  msi: messages("msi"),
  msix: messages("msix"),
});
export type ConnectionItem = ValueOf<typeof connection>;

export function nameConnection(item: ConnectionItem): string {
  return nameOf(item.kind, item);
}
