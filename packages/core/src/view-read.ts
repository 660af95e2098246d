// Evaluating a view: any range of its bytes, in memory that does not depend on the size of the tensor. What is needed
// of it is read in pieces that are as long as its order allows.
import { floatTypes } from "./dtype.js";
import { eightBitFloats, elementBytes, type Op, type ReadStored, type View } from "./view.js";

/** Bytes that one step may read at most, of each tensor below. */
const WINDOW = 1 << 20;
/** Weights that one step computes. */
const STEP = 1 << 16;
/** Bytes that take as long to read as a read takes to begin. */
const GAP = 1 << 14;
/** From this size on, things that change places are read each into its own place. */
const DIRECT = 1 << 16;

/**
 * Fills `into` from byte `offset` of the view.
 * @throws RangeError where the view ends earlier; whatever `read` throws
 */
export async function readView(
  view: View,
  offset: number,
  into: Uint8Array,
  read: ReadStored,
): Promise<void> {
  if (!(offset >= 0 && offset + into.length <= view.bytes))
    throw new RangeError(`${into.length} bytes from ${offset} are not in a tensor of ${view.bytes}`);
  if (into.length === 0) return;
  switch (view.op) {
    case "stored":
    case "reshape":
    case "slice":
      return readNow(view, offset, into, read);
    case "constant":
      into.set(view.data.subarray(offset, offset + into.length));
      return;
    case "concat":
      return readJoined(view, offset, into, read);
    case "swap":
      return readSwapped(view, offset, into, read);
    case "float32":
    case "scaled":
      return readFloats(view, offset, into, read);
    case "blocks":
      return readBlocks(view, offset, into, read);
  }
}

/** The same, at once where nothing is to be computed: many small reads would wait for nothing. */
function readNow(view: View, offset: number, into: Uint8Array, read: ReadStored): void | Promise<void> {
  if (view.op === "stored") return read(view.from, view.offset + offset, into);
  if (view.op === "reshape") return readNow(view.of, offset, into, read);
  if (view.op === "slice") return readNow(view.of, view.offset + offset, into, read);
  return readView(view, offset, into, read);
}

async function readJoined(view: Op<"concat">, offset: number, into: Uint8Array, read: ReadStored) {
  let begin = 0;
  for (const each of view.of) {
    const from = Math.max(offset, begin);
    const to = Math.min(offset + into.length, begin + each.bytes);
    if (from < to) await readView(each, from - begin, into.subarray(from - offset, to - offset), read);
    begin += each.bytes;
  }
}

/** Room that a nested view must not share: a step allocates its own. */
const room = (bytes: number): Uint8Array<ArrayBuffer> => new Uint8Array(bytes);

//  source  x:  | y: ········[y0 … y1]········ |   `b` items; a run of them is read for every x
//              | ········[y0 … y1]········ |      `a` of these
//  result  y0: | x: · · · · · |                   `a` items

async function readSwapped(view: Op<"swap">, offset: number, into: Uint8Array, read: ReadStored) {
  const { of, a, b, unit } = view;
  const origin = (item: number): number => {
    const [outer, rest] = [Math.floor(item / (a * b)), item % (a * b)];
    return ((outer * a + (rest % a)) * b + Math.floor(rest / a)) * unit;
  };
  /** A piece of one item, or a whole one that is large. */
  const direct = async (from: number, to: number): Promise<void> => {
    const item = Math.floor(from / unit);
    await readView(of, origin(item) + (from - item * unit), into.subarray(from - offset, to - offset), read);
  };
  const end = offset + into.length;
  let at = offset;
  if (at % unit !== 0) {
    const to = Math.min(end, Math.ceil(at / unit) * unit);
    await direct(at, to);
    at = to;
  }
  const whole = Math.floor(end / unit) * unit;
  while (at < whole) {
    if (unit >= DIRECT) {
      await direct(at, at + unit);
      at += unit;
      continue;
    }
    // Within one of the outermost matrices.
    const outer = Math.floor(at / (a * b * unit));
    const to = Math.min(whole, (outer + 1) * a * b * unit);
    await readTurned(view, outer, at / unit, to / unit, into.subarray(at - offset, to - offset), read);
    at = to;
  }
  if (at < end) await direct(at, end);
}

/** Items `first` to `end` of the result, all in the matrix `outer`. */
async function readTurned(
  { of, a, b, unit }: Op<"swap">,
  outer: number,
  first: number,
  end: number,
  into: Uint8Array,
  read: ReadStored,
) {
  const [low, high] = [first - outer * a * b, end - outer * a * b];
  const y0 = Math.floor(low / a);
  const y1 = Math.floor((high - 1) / a);
  const run = y1 - y0 + 1;
  // Over what lies between, reading on is cheaper than reading again.
  const dense = (b - run) * unit <= GAP;
  const pitch = dense ? b : run;
  const lines = Math.min(a, Math.max(1, Math.floor(WINDOW / (pitch * unit))));
  const window = room(((lines - 1) * pitch + run) * unit);
  const move = mover(window, into, unit);
  for (let x = 0; x < a; x += lines) {
    const count = Math.min(lines, a - x);
    const at = ((outer * a + x) * b + y0) * unit;
    if (dense) await readNow(of, at, window.subarray(0, ((count - 1) * b + run) * unit), read);
    else
      for (let line = 0; line < count; line++) {
        const bytes = window.subarray(line * run * unit, (line + 1) * run * unit);
        const pending = readNow(of, at + line * b * unit, bytes, read);
        if (pending !== undefined) await pending;
      }
    for (let y = y0; y <= y1; y++) {
      const from = Math.max(x, low - y * a);
      const to = Math.min(x + count, high - y * a);
      if (from < to) move((from - x) * pitch + (y - y0), pitch, y * a + from - low, to - from);
    }
  }
}

/** Moves `count` items, `stride` apart, to where they are neighbours. All in items. */
type Move = (first: number, stride: number, to: number, count: number) => void;

function mover(from: Uint8Array<ArrayBuffer>, into: Uint8Array, unit: number): Move {
  const Words = unit === 2 ? Uint16Array : unit === 4 ? Uint32Array : undefined;
  if (Words === undefined || into.byteOffset % unit !== 0)
    return (first, stride, to, count) => {
      for (let i = 0; i < count; i++) {
        const at = (first + i * stride) * unit;
        into.set(from.subarray(at, at + unit), (to + i) * unit);
      }
    };
  const source = new Words(from.buffer, from.byteOffset, from.length / unit);
  const target = new Words(into.buffer as ArrayBuffer, into.byteOffset, into.length / unit);
  return (first, stride, to, count) => {
    for (let i = 0, at = first; i < count; i++, at += stride) target[to + i] = source[at]!;
  };
}

/** Float32 results, a step at a time: `compute` gives the weights `first` to `first + count`. */
async function readFloats(
  view: Op<"float32"> | Op<"scaled">,
  offset: number,
  into: Uint8Array,
  read: ReadStored,
) {
  const end = offset + into.length;
  const size = elementBytes(view.of);
  for (let at = offset; at < end; ) {
    const first = Math.floor(at / 4);
    const count = Math.min(STEP, Math.ceil(end / 4) - first);
    const bytes = room(count * size);
    await readView(view.of, first * size, bytes, read);
    const weights = new Float32Array(count);
    decode(view.of.dtype, bytes, weights);
    if (view.op === "scaled") await scale(view, first, weights, read);
    else if (view.add !== 0) for (let i = 0; i < count; i++) weights[i] = weights[i]! + view.add;
    const to = Math.min(end, (first + count) * 4);
    into.set(new Uint8Array(weights.buffer, at - first * 4, to - at), at - offset);
    at = to;
  }
}

function decode(dtype: string, bytes: Uint8Array, out: Float32Array): void {
  const table = eightBitFloats.get(dtype);
  if (table === undefined) floatTypes.get(dtype)!.decode(bytes, out);
  else for (let i = 0; i < out.length; i++) out[i] = table[bytes[i]!]!;
}

/** Multiplies weights `first` and after by the scales of their blocks. */
async function scale(view: Op<"scaled">, first: number, weights: Float32Array, read: ReadStored) {
  const { shape, scales } = view;
  const [high, wide] = view.block;
  const columns = shape.at(-1) ?? 1;
  const rows = shape.at(-2) ?? 1;
  const [downs, across] = [Math.ceil(rows / high), Math.ceil(columns / wide)];
  const line = (row: number): number => Math.floor(row / rows) * downs + Math.floor((row % rows) / high);
  const firstLine = line(Math.floor(first / columns));
  const lastLine = line(Math.floor((first + weights.length - 1) / columns));
  const size = elementBytes(scales);
  const bytes = room((lastLine - firstLine + 1) * across * size);
  await readView(scales, firstLine * across * size, bytes, read);
  const factors = new Float32Array((lastLine - firstLine + 1) * across);
  decode(scales.dtype, bytes, factors);
  for (let i = 0; i < weights.length; ) {
    const row = Math.floor((first + i) / columns);
    const column = (first + i) % columns;
    const block = Math.floor(column / wide);
    const factor = factors[(line(row) - firstLine) * across + block]!;
    const end = Math.min(weights.length, i + Math.min(columns, (block + 1) * wide) - column);
    for (; i < end; i++) weights[i] = weights[i]! * factor;
  }
}

//  packed   byte k: code 2k (low four bits), code 2k + 1
//  block    scale, then byte j: code j (low four bits), code j + half

async function readBlocks(view: Op<"blocks">, offset: number, into: Uint8Array, read: ReadStored) {
  const { packed: size } = view;
  const whole = 1 + size;
  const end = offset + into.length;
  for (let at = offset; at < end; ) {
    const first = Math.floor(at / whole);
    const count = Math.min(Math.ceil(STEP / whole), Math.ceil(end / whole) - first);
    const packed = room(count * size);
    const scales = room(count);
    await readView(view.of, first * size, packed, read);
    await readView(view.scales, first, scales, read);
    const blocks = room(count * whole);
    for (let block = 0, p = 0, q = 0; block < count; block++, p += size / 2) {
      blocks[q++] = scales[block]!;
      for (const middle = p + size / 2; p < middle; p++) {
        const [low, high] = [packed[p]!, packed[p + size / 2]!];
        blocks[q++] = (low & 15) | ((high & 15) << 4);
        blocks[q++] = (low >> 4) | (high & 0xf0);
      }
    }
    const to = Math.min(end, (first + count) * whole);
    into.set(blocks.subarray(at - first * whole, to - first * whole), at - offset);
    at = to;
  }
}
