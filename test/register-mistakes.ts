/** Mistakes in an access to a register, each with the class and the code that every path answers with. */
import { type ConfigSpace, RegisterProgram, type Registers } from "vfio";
import { expect } from "vitest";

const largest = { 1: 0xff, 2: 0xffff, 4: 0xffff_ffff, 8: Number.MAX_SAFE_INTEGER };
const widths = [1, 2, 4, 8] as const;
type Width = (typeof widths)[number];

const type = { error: TypeError, code: "ERR_INVALID_ARG_TYPE" };
const range = { error: RangeError, code: "ERR_OUT_OF_RANGE" };

interface Mistake {
  readonly method: string;
  readonly args: readonly unknown[];
  readonly argument: "offset" | "value";
  readonly answer: typeof type | typeof range;
}

function badOffsets(width: Width, length: number) {
  const misaligned = width === 1 ? [] : [width / 2, length - width / 2];
  return [
    ...["0", 0n, null, undefined, {}, true].map((offset) => ({ offset, answer: type })),
    ...[...misaligned, -width, length, 2 ** 53, 0.5, Number.NaN, Number.POSITIVE_INFINITY].map((offset) => ({
      offset,
      answer: range,
    })),
  ];
}

function badValues(width: Width) {
  return [
    ...["0", null, undefined, {}, true].map((value) => ({ value, answer: type })),
    ...[-1, 0.5, Number.NaN, largest[width] + 1].map((value) => ({ value, answer: range })),
    ...(width === 8 ? [-1n, 1n << 64n].map((value) => ({ value, answer: range })) : [{ value: 0n, answer: type }]),
  ];
}

function mistakes(width: Width, length: number): readonly Mistake[] {
  const [read, write] = [`read${8 * width}`, `write${8 * width}`];
  const argument = "offset";
  return [
    ...badOffsets(width, length).flatMap(({ offset, answer }): Mistake[] => [
      { method: read, args: [offset], argument, answer },
      { method: write, args: [offset, 0], argument, answer },
    ]),
    ...badValues(width).map(
      ({ value, answer }): Mistake => ({
        method: write,
        args: [0, value],
        argument: "value",
        answer,
      }),
    ),
  ];
}

/** Calls a method by its name, with arguments that its types do not allow. */
function call(object: object, method: string, args: readonly unknown[]): void {
  const found: unknown = Reflect.get(object, method);
  if (typeof found !== "function") throw new Error(`no ${method}`);
  Reflect.apply(found, object, [...args]);
}

function expectRefused({ method, args, argument, answer }: Mistake, label: string, access: () => void): void {
  let thrown: unknown;
  try {
    access();
  } catch (error) {
    thrown = error;
  }
  const what = `${method}(${args.map((arg) => `${typeof arg} ${String(arg)}`).join(", ")}) of ${label}`;
  expect(thrown, what).toBeInstanceOf(answer.error);
  expect(thrown, what).toMatchObject({ code: answer.code, message: expect.stringContaining(`"${argument}"`) });
}

/** Makes every mistake in every method. */
export function expectMistakesRefused(registers: Registers | ConfigSpace): void {
  const length = "length" in registers ? registers.length : registers.size;
  for (const mistake of widths.flatMap((width) => mistakes(width, length))) {
    if (!(mistake.method in registers)) continue;
    expectRefused(mistake, registers.label, () => call(registers, mistake.method, mistake.args));
  }
}

/** Makes every mistake as the second step of a program, whose first one is good. */
export function expectMistakesRefusedInPrograms(registers: Registers): void {
  for (const mistake of widths.flatMap((width) => mistakes(width, registers.length))) {
    expectRefused(mistake, `a program for ${registers.label}`, () => {
      const program = new RegisterProgram();
      program.write8(0, 0x5a);
      call(program, mistake.method, mistake.args);
      registers.run(program);
    });
  }
}
