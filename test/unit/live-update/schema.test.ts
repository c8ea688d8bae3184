import { describe, expect, expectTypeOf, test } from "vitest";
import { ByteReader, ByteWriter, Codes } from "../../../lib/live-update/manifest/bytes.js";
import {
  type DescriptorUse,
  dependent,
  descriptor,
  flag,
  item,
  list,
  name,
  only,
  optionalDescriptor,
  type Part,
  since,
  text,
  u32,
  type ValueOf,
  variants,
} from "../../../lib/live-update/manifest/schema.js";

function written<T>(part: Part<T>, value: T): Uint8Array {
  const writer = new ByteWriter();
  part.write(writer, value);
  return writer.bytes;
}

function readAs<T>(part: Part<T>, bytes: Uint8Array, version = 2, descriptorCount = 9): T {
  return part.read({ reader: new ByteReader(bytes, "the test"), version, descriptorCount }, 'field "test"');
}

function faultOf<T>(part: Part<T>, value: T): string | undefined {
  const place = { refuse: (why: string) => new Error(why), label: 'field "test"', of: () => "the test" };
  try {
    part.check(value, place);
  } catch (error) {
    return error instanceof Error ? error.message : undefined;
  }
  return undefined;
}

function usesOf<T>(part: Part<T>, value: T): readonly DescriptorUse[] {
  const uses: DescriptorUse[] = [];
  part.uses(value, "the test", (use) => uses.push(use));
  return uses;
}

const vector = item(
  { index: u32({ max: 7 }), eventfd: descriptor() },
  {
    name: ({ index }, device) => `vector ${index} of ${device}`,
    descriptors: { eventfd: (_, what) => ({ expected: { kind: "eventfd" }, what }) },
  },
);
const device = item({ address: name(), vectors: list(vector, "descriptors") }, { name: ({ address }) => address });

describe("an item", () => {
  const value = { address: "nvme", vectors: [{ index: 3, eventfd: 5 }] };

  test("has the type, the bytes and the least length of its fields", () => {
    expectTypeOf<ValueOf<typeof vector>>().toEqualTypeOf<{ readonly index: number; readonly eventfd: number }>();
    const bytes = written(device, value);
    expect(Buffer.from(bytes).toString("hex")).toBe("04006e766d65010000000300000005000000");
    expect(readAs(device, bytes)).toEqual(value);
    expect(device.leastIn(1)).toBe(6);
    expect(vector.leastIn(1)).toBe(8);
  });

  test("checks each field, with the name of the item that it is in", () => {
    expect(faultOf(device, value)).toBeUndefined();
    expect(faultOf(device, { ...value, vectors: [{ index: 8, eventfd: 5 }] })).toBe(
      'the field "index" of vector 8 of nvme is 8, not an integer from 0 to 7',
    );
  });

  test("lists its descriptors, and says what each must be", () => {
    expect(usesOf(device, value)).toEqual([{ index: 5, expected: { kind: "eventfd" }, what: "vector 3 of nvme" }]);
  });

  test("cannot have a descriptor of which nobody says what it is", () => {
    expect(() => item({ twin: optionalDescriptor() })).toThrow(
      new TypeError("the schema does not say what the descriptor twin must be"),
    );
  });
});

describe("a field of a later version", () => {
  const grown = item({ address: text(), locked: since(3, flag(), false), port: since(4, u32(), 1) });
  const value = { address: "a", locked: true, port: 9 };

  test("is written, and read from documents of its version on", () => {
    const bytes = written(grown, value);
    expect(bytes).toHaveLength(8);
    expect(readAs(grown, bytes, 4)).toEqual(value);
    expect(readAs(grown, bytes, 3)).toEqual({ ...value, port: 1 });
    expect(readAs(grown, bytes, 2)).toEqual({ address: "a", locked: false, port: 1 });
  });

  test("takes no bytes before", () => {
    expect([2, 3, 4].map((version) => grown.leastIn(version))).toEqual([2, 3, 7]);
  });
});

describe("a field that only some items have", () => {
  const end = (isNew: boolean) => item({ ioas: only(isNew, u32(), undefined), groups: only(!isNew, list(u32()), []) });
  const ends = [end(false), end(true)] as const;
  const container = dependent({ isNew: flag() }, ends[1], ({ isNew }) => ends[isNew ? 1 : 0]);

  test("is where the beginning says", () => {
    const [old, young] = [
      { isNew: false, ioas: undefined, groups: [7] },
      { isNew: true, ioas: 7, groups: [] },
    ];
    expect(Buffer.from(written(container, old)).toString("hex")).toBe("000100000007000000");
    expect(Buffer.from(written(container, young)).toString("hex")).toBe("0107000000");
    expect(readAs(container, written(container, old))).toEqual(old);
    expect(readAs(container, written(container, young))).toEqual(young);
    expect(container.leastIn(1)).toBe(5);
  });

  test("is refused where it cannot be", () => {
    expect(faultOf(container, { isNew: true, ioas: 7, groups: [1] })).toBe(
      'the test cannot have the field "groups" in its mode',
    );
  });
});

test("variants are told apart by their code", () => {
  const shape = variants("kind", new Codes({ dot: 1, line: 2 }), { dot: item({}), line: item({ length: u32() }) });
  expectTypeOf<ValueOf<typeof shape>>().toExtend<{ readonly kind: "dot" | "line" }>();
  const bytes = written(shape, { kind: "line", length: 5 });
  expect(Buffer.from(bytes).toString("hex")).toBe("0205000000");
  expect(readAs(shape, bytes)).toEqual({ kind: "line", length: 5 });
  expect(shape.leastIn(1)).toBe(1);
});
