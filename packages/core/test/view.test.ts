import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { floatTypes } from "../src/dtype.js";
import type { StoredLocator } from "../src/types.js";
import {
  concat,
  constant,
  float32,
  narrow,
  originOf,
  packBlocks,
  reshape,
  rows,
  scaled,
  stack,
  stored,
  storedUnder,
  swapAxes,
  transpose,
  type View,
} from "../src/view.js";
import { readView } from "../src/view-read.js";

// ---- Files in memory, and the whole tensor by the plainest means --------------------------------

const files = new Map<string, Uint8Array>();
let count = 0;

const read = (from: StoredLocator, offset: number, into: Uint8Array): void => {
  const bytes = files.get((from as { path: string }).path)!;
  if (offset + into.length > bytes.length) throw new Error("read behind the end");
  into.set(bytes.subarray(offset, offset + into.length));
};

const sizes: Readonly<Record<string, number>> = {
  F32: 4,
  F16: 2,
  BF16: 2,
  F64: 8,
  U8: 1,
  F8_E4M3: 1,
  F8_E5M2: 1,
};

/** A tensor of any bytes that are no NaN, somewhere in a file. */
function file(dtype: string, shape: readonly number[], seed: number): View {
  const length = shape.reduce((a, b) => a * b, sizes[dtype]!);
  const before = seed % 7;
  const bytes = new Uint8Array(before + length);
  let state = seed + 1;
  for (let i = 0; i < bytes.length; i++) {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    bytes[i] = state >>> 24;
  }
  const size = sizes[dtype]!;
  // The top byte decides the exponent: kept away from its end.
  if (dtype !== "U8") for (let i = before + size - 1; i < bytes.length; i += size) bytes[i]! &= 0xbb;
  const path = `file-${count++}`;
  files.set(path, bytes);
  return stored({
    name: `tensor of ${path}`,
    from: { kind: "file", path },
    dtype,
    shape,
    offset: before,
    bytes: length,
  });
}

const indices = (shape: readonly number[]): number[][] =>
  shape.reduce<number[][]>(
    (all, dim) => all.flatMap((index) => Array.from({ length: dim }, (_, i) => [...index, i])),
    [[]],
  );
const flat = (index: readonly number[], shape: readonly number[]): number =>
  index.reduce((sum, i, axis) => sum * shape[axis]! + i, 0);

/** Every element of a view as its bytes, in order; independent of how ranges are read. */
function elements(view: View): Uint8Array[] {
  switch (view.op) {
    case "stored": {
      const size = sizes[view.dtype]!;
      const bytes = files.get((view.from as { path: string }).path)!;
      return Array.from({ length: view.bytes / size }, (_, i) =>
        bytes.slice(view.offset + i * size, view.offset + (i + 1) * size),
      );
    }
    case "constant":
      return Array.from({ length: view.bytes / 4 }, (_, i) => view.data.slice(i * 4, i * 4 + 4));
    case "reshape":
      return elements(view.of);
    case "slice": {
      const all = elements(view.of);
      const first = Math.round((view.offset / view.of.bytes) * all.length);
      return all.slice(first, first + view.shape.reduce((a, b) => a * b, 1));
    }
    case "concat":
      return view.of.flatMap(elements);
    case "swap": {
      const all = elements(view.of);
      const axis = view.of.shape.findIndex(
        (_, i) =>
          view.of.shape.slice(i + 2).reduce((a, b) => a * b, sizes[view.dtype]!) === view.unit &&
          view.of.shape[i] === view.a &&
          view.of.shape[i + 1] === view.b,
      );
      return indices(view.shape).map((index) => {
        const from = [...index];
        [from[axis], from[axis + 1]] = [from[axis + 1]!, from[axis]!];
        return all[flat(from, view.of.shape)]!;
      });
    }
    case "float32":
      return elements(view.of).map((bytes) => f32(decoded(view.of.dtype, bytes) + view.add));
    case "scaled": {
      const scale = elements(view.scales).map((bytes) => decoded(view.scales.dtype, bytes));
      const [columns, height] = [view.shape.at(-1)!, view.shape.at(-2) ?? 1];
      const down = Math.ceil(height / view.block[0]);
      const across = Math.ceil(columns / view.block[1]);
      return elements(view.of).map((bytes, i) => {
        const [row, column] = [Math.floor(i / columns), i % columns];
        const line = Math.floor(row / height) * down + Math.floor((row % height) / view.block[0]);
        return f32(
          decoded(view.of.dtype, bytes) * scale[line * across + Math.floor(column / view.block[1])]!,
        );
      });
    }
    case "blocks": {
      const packed = elements(view.of).map(([byte]) => byte!);
      return elements(view.scales).map(([exponent], block) => {
        const codes = packed.slice(block * 16, block * 16 + 16).flatMap((byte) => [byte & 15, byte >> 4]);
        return Uint8Array.of(
          exponent!,
          ...Array.from({ length: 16 }, (_, j) => codes[j]! | (codes[j + 16]! << 4)),
        );
      });
    }
  }
}

const f32 = (value: number): Uint8Array => new Uint8Array(Float32Array.of(value).buffer);

function decoded(dtype: string, bytes: Uint8Array): number {
  const out = new Float32Array(1);
  if (dtype === "F8_E5M2") floatTypes.get("F16")!.decode(Uint8Array.of(0, bytes[0]!), out);
  else if (dtype === "F8_E4M3") {
    // By way of a half with the same bits in other places; four bits of exponent have another bias.
    const byte = bytes[0]!;
    const half = ((byte & 0x80) << 8) | ((byte & 0x7f) << 7);
    floatTypes.get("F16")!.decode(Uint8Array.of(half & 255, half >> 8), out);
    out[0]! *= 256;
  } else floatTypes.get(dtype)!.decode(bytes, out);
  return out[0]!;
}

const whole = (view: View): Uint8Array => Uint8Array.from(elements(view).flatMap((bytes) => [...bytes]));

async function range(view: View, offset: number, length: number): Promise<Uint8Array> {
  const into = new Uint8Array(length);
  await readView(view, offset, into, read);
  return into;
}

// ---- Any expression ----------------------------------------------------------------------------

const dim = fc.integer({ min: 1, max: 5 });
const seed = fc.nat(1000);
const float = fc.constantFrom("F32", "F16", "BF16", "F8_E4M3", "F8_E5M2");
const matrix = fc
  .tuple(float, fc.array(dim, { minLength: 1, maxLength: 4 }), seed)
  .map(([dtype, shape, s]) => file(dtype, shape, s));

const step = fc.oneof(
  fc.tuple(fc.nat(), fc.nat()).map(([a, b]) => (view: View) => {
    const [all] = view.shape as [number];
    const first = a % all;
    return rows(view, first, 1 + (b % (all - first)));
  }),
  fc
    .nat()
    .map((a) => (view: View) => (view.shape.length < 2 ? view : swapAxes(view, a % (view.shape.length - 1)))),
  fc.constant((view: View) => (view.shape.length < 2 ? view : transpose(view))),
  fc.constant((view: View) => reshape(view, [1, ...view.shape])),
  fc.constant((view: View) => reshape(view, [view.shape.reduce((a, b) => a * b, 1)])),
  fc.constant((view: View) => concat([view, view, rows(view, 0, 1)])),
  fc.constant((view: View) => stack([view, view])),
  fc.double({ min: -2, max: 2, noNaN: true }).map((add) => (view: View) => float32(view, add)),
  fc.tuple(dim, dim, seed).map(([high, wide, s]) => (view: View) => {
    if (view.shape.length < 2) return view;
    const [height, columns] = view.shape.slice(-2) as [number, number];
    const grid = [...view.shape.slice(0, -2), Math.ceil(height / high), Math.ceil(columns / wide)];
    return scaled(view, file("F32", grid, s), [high, wide]);
  }),
);
const expression = fc
  .tuple(matrix, fc.array(step, { maxLength: 4 }))
  .map(([first, steps]) => steps.reduce((view, next) => next(view), first))
  .filter(({ bytes }) => bytes < 4096);
const ranged = fc.tuple(expression, fc.nat(), fc.nat()).map(([view, a, b]) => {
  const offset = a % view.bytes;
  return { view, offset, length: 1 + (b % (view.bytes - offset)) };
});

describe("any range of a view is that range of the whole tensor", () => {
  test("of any expression", async () => {
    await fc.assert(
      fc.asyncProperty(ranged, async ({ view, offset, length }) => {
        const wanted = whole(view);
        expect(wanted).toHaveLength(view.bytes);
        expect(await range(view, offset, length)).toEqual(wanted.slice(offset, offset + length));
      }),
      { numRuns: 600 },
    );
  });

  test("of what a job is given of it", async () => {
    await fc.assert(
      fc.asyncProperty(ranged, async ({ view, offset, length }) => {
        const part = narrow(view, offset, length);
        expect(await range(part.view, part.offset, length)).toEqual(await range(view, offset, length));
        expect([...storedUnder(part.view)].length).toBeLessThanOrEqual([...storedUnder(view)].length);
      }),
    );
  });

  test("of blocks from packed codes and scales", async () => {
    const blocks = fc.tuple(dim, dim, dim, seed, fc.nat(), fc.nat());
    await fc.assert(
      fc.asyncProperty(blocks, async ([experts, height, across, s, a, b]) => {
        const view = packBlocks(
          "CODES",
          file("U8", [experts, height, across, 16], s),
          file("U8", [experts, height, across], s + 1),
        );
        expect(view.shape).toEqual([experts, height, across * 32]);
        const offset = a % view.bytes;
        const length = 1 + (b % (view.bytes - offset));
        expect(await range(view, offset, length)).toEqual(whole(view).slice(offset, offset + length));
      }),
    );
  });

  test.each([
    ["F32", 700, 900],
    ["BF16", 1500, 1100],
    ["BF16", 3, 200_000],
    ["F16", 200_000, 3],
  ])("of a large transposed matrix, %s [%i × %i]", async (dtype, a, b) => {
    const of = file(dtype, [a, b], 5);
    const view = transpose(of);
    const size = sizes[dtype]!;
    const source = await range(of, 0, of.bytes);
    const wanted = new Uint8Array(of.bytes);
    for (let x = 0; x < a; x++)
      for (let y = 0; y < b; y++)
        wanted.set(source.subarray((x * b + y) * size, (x * b + y + 1) * size), (y * a + x) * size);
    for (const [offset, length] of [
      [0, view.bytes],
      [Math.floor(b / 3) * a * size, Math.ceil(b / 10) * a * size],
      [12_345, 70_001],
    ] as const)
      expect(
        Buffer.compare(await range(view, offset, length), wanted.subarray(offset, offset + length)),
      ).toBe(0);
  });

  test("of large things that change places", async () => {
    const of = file("F32", [2, 3, 40_000], 9);
    const view = swapAxes(of, 0);
    expect(view.shape).toEqual([3, 2, 40_000]);
    const source = await range(of, 0, of.bytes);
    const each = 160_000;
    const wanted = Buffer.concat([0, 3, 1, 4, 2, 5].map((i) => source.subarray(i * each, (i + 1) * each)));
    for (const [offset, length] of [
      [0, view.bytes],
      [100_001, 300_003],
    ] as const)
      expect(
        Buffer.compare(await range(view, offset, length), wanted.subarray(offset, offset + length)),
      ).toBe(0);
  });

  test("of large computed weights", async () => {
    const of = file("F8_E4M3", [100, 1000], 3);
    const view = scaled(of, file("F32", [2, 8], 4), [60, 128]);
    const wanted = whole(view);
    expect(Buffer.compare(await range(view, 0, view.bytes), wanted)).toBe(0);
    expect(Buffer.compare(await range(view, 100_001, 290_001), wanted.subarray(100_001, 390_002))).toBe(0);
  });
});

test("no step reads more than it needs, by much", async () => {
  let seen = 0;
  const counted = (from: StoredLocator, offset: number, into: Uint8Array): void => {
    seen += into.length;
    read(from, offset, into);
  };
  // Rows of 16 heads, halves interleaved; the job wants two heads.
  const heads = reshape(swapAxes(reshape(file("BF16", [512, 64], 1), [16, 2, 16, 64]), 1), [512, 64]);
  await readView(heads, 4 * 32 * 128, new Uint8Array(2 * 32 * 128), counted);
  expect(seen).toBe(2 * 32 * 128);
  // A few columns of a wide matrix.
  seen = 0;
  await readView(transpose(file("F32", [20, 100_000], 2)), 0, new Uint8Array(10 * 20 * 4), counted);
  expect(seen).toBe(10 * 20 * 4);
});

describe("where a byte comes from", () => {
  test("is where its like was stored", async () => {
    await fc.assert(
      fc.asyncProperty(ranged, async ({ view, offset }) => {
        fc.pre(![view, ...under(view)].some(({ op }) => op === "float32" || op === "scaled"));
        const origin = originOf(view, offset)!;
        const bytes = files.get((origin.from as { path: string }).path)!;
        expect(await range(view, offset, 1)).toEqual(bytes.slice(origin.offset, origin.offset + 1));
        expect(origin.name).toBe(`tensor of ${(origin.from as { path: string }).path}`);
      }),
    );
  });

  test("is the weight, where it was computed", () => {
    const of = file("F8_E4M3", [4, 4], 7);
    const at = (view: View, offset: number) =>
      originOf(view, offset)!.offset - (of as { offset: number }).offset;
    expect(at(scaled(of, file("F32", [1], 1)), 4 * 6 + 3)).toBe(6);
    expect(at(float32(of, 1), 4 * 9)).toBe(9);
    expect(originOf(constant(Float32Array.of(1, 2)), 4)).toBeUndefined();
    const blocks = file("U8", [2, 3, 16], 8);
    const mx = packBlocks("CODES", blocks, file("U8", [2, 3], 8));
    expect(originOf(mx, 17 * 4 + 3)!.offset - (blocks as { offset: number }).offset).toBe(64);
  });
});

function* under(view: View): Generator<View> {
  if (!("of" in view)) return;
  for (const each of Array.isArray(view.of) ? (view.of as View[]) : [view.of as View]) {
    yield each;
    yield* under(each);
  }
}

test("a view is plain data: a clone reads the same", async () => {
  const view = transpose(float32(concat([file("BF16", [3, 5], 1), file("BF16", [2, 5], 2)]), 1));
  expect(await range(structuredClone(view), 0, view.bytes)).toEqual(await range(view, 0, view.bytes));
});

describe("8-bit floats", () => {
  test.each([
    ["F8_E4M3", 0x7e, 448],
    ["F8_E4M3", 0x01, 2 ** -9],
    ["F8_E4M3", 0x38, 1],
    ["F8_E4M3", 0xff, Number.NaN],
    ["F8_E5M2", 0x7b, 57344],
    ["F8_E5M2", 0x01, 2 ** -16],
    ["F8_E5M2", 0xfc, Number.NEGATIVE_INFINITY],
    ["F8_E5M2", 0x7d, Number.NaN],
  ])("%s %i is %d", async (dtype, byte, value) => {
    const path = `byte-${count++}`;
    files.set(path, Uint8Array.of(byte));
    const at = { name: "x", from: { kind: "file", path }, dtype, shape: [1], offset: 0, bytes: 1 } as const;
    expect(new Float32Array((await range(float32(stored(at)), 0, 4)).buffer)[0]).toBe(value);
  });
});

describe("what cannot be made is refused", () => {
  const of = file("F16", [4, 6], 1);
  test.each<[string, () => View]>([
    ["A tensor of [4 × 6] cannot become [5, 5].".replace("5, 5", "5 × 5"), () => reshape(of, [5, 5])],
    ["A tensor of [4 × 6] has no rows 3 to 5.", () => rows(of, 3, 2)],
    ["There is nothing to join.", () => concat([])],
    ["F16 [4 × 5] cannot be joined to F16 [4 × 6].", () => concat([of, file("F16", [4, 5], 1)])],
    ["BF16 [4 × 6] cannot be joined to F16 [4 × 6].", () => concat([of, file("BF16", [4, 6], 1)])],
    ["A tensor of [4 × 6] has no axis 2.", () => swapAxes(of, 1)],
    ["U8 cannot be made float32.", () => float32(file("U8", [4], 1))],
    [
      "Scales of [3] do not fit a tensor of [4 × 6] in blocks of 2 × 2.",
      () => scaled(of, file("F32", [3], 1), [2, 2]),
    ],
    ["F16 with scales in U8 cannot be made float32.", () => scaled(of, file("U8", [1], 1))],
    [
      "U8 [2 × 16] with scales of U8 [3] are no blocks of 4-bit codes.",
      () => packBlocks("CODES", file("U8", [2, 16], 1), file("U8", [3], 1)),
    ],
  ])("%s", (message, make) => {
    expect(make).toThrow(expect.objectContaining({ code: "E_CHECKPOINT", message }));
  });

  test("and so is a range that is not there", async () => {
    await expect(range(of, 40, 10)).rejects.toThrow("10 bytes from 40 are not in a tensor of 48");
  });
});
