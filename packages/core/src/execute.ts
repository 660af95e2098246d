import { floatTypes } from "./dtype.js";
import { FewbitError } from "./error.js";
import { type MetricSums, measure } from "./metrics.js";
import { nameOf } from "./source.js";
import type { About, Codec, Extent, Job, Locator, Receipt, StoredLocator } from "./types.js";
import { originOf } from "./view.js";
import { readView } from "./view-read.js";

/** The two positional operations an environment must offer. Node: fs; browser: Blob and OPFS. */
export interface Io {
  /** Fills `into` completely from byte `offset`. */
  read(from: StoredLocator, offset: number, into: Uint8Array): void | Promise<void>;
  /** Writes all of `bytes` at byte `offset`. */
  write(to: Locator, offset: number, bytes: Uint8Array): void | Promise<void>;
}

/** Fills `into` with the first bytes of an extent, whatever they are made from. */
function readExtent({ from, offset }: Extent, into: Uint8Array, io: Io): void | Promise<void> {
  return from.kind === "view"
    ? readView(from.view, offset, into, (stored, at, bytes) => io.read(stored, at, bytes))
    : io.read(from, offset, into);
}

/** Codecs by plugin and scheme id, loaded once per thread. */
export type LoadCodec = (plugin: string, scheme: string) => Codec | Promise<Codec>;

/** Source bytes that are not float32; one per thread, grown to the largest chunk. */
let scratch = new Uint8Array(0);
const scratchOf = (bytes: number): Uint8Array<ArrayBuffer> => {
  if (scratch.length < bytes) scratch = new Uint8Array(bytes);
  return scratch.subarray(0, bytes);
};

/** Kernels' memory and the room here belong to the thread, so its jobs take turns, whoever gives them. */
let turn: Promise<unknown> = Promise.resolve();

/** The heart: one job, on whatever thread. Inline runner, Node worker and web worker all call it. */
export function execute(job: Job, load: LoadCodec, io: Io): Promise<Receipt> {
  const done = turn.then(() => executeNow(job, load, io));
  turn = done.catch(() => {});
  return done;
}

async function executeNow(job: Job, load: LoadCodec, io: Io): Promise<Receipt> {
  const start = performance.now();
  const done = await passes[job.pass](job, load, io);
  return {
    job: job.id,
    tensor: job.tensor,
    rows: job.rows,
    read: job.read.bytes + (job.against?.bytes ?? 0),
    written: done.written,
    milliseconds: performance.now() - start,
    ...(done.state === undefined ? {} : { state: done.state }),
    ...(done.zeroed > 0 ? { zeroed: done.zeroed } : {}),
  };
}

const passes: Readonly<Record<Job["pass"], (job: Job, load: LoadCodec, io: Io) => Promise<Done>>> = {
  copy,
  encode,
  observe: encode,
  measure: compare,
};

interface Done {
  readonly written: number;
  readonly zeroed: number;
  readonly state?: unknown;
}

/** Bytes to bytes: not even a NaN's payload changes. */
async function copy(job: Job, load: LoadCodec, io: Io): Promise<Done> {
  const bytes = scratchOf(job.read.bytes);
  await readExtent(job.read, bytes, io);
  // A piece of a very long row may end within a block, which only whole rows cannot.
  const zeroed =
    job.nonfinite === "keep" ? 0 : check(job, bytes, job.rows > 0 ? await decoderOf(job, load) : undefined);
  const [place] = job.write;
  await io.write(place!.to, place!.offset, bytes);
  return { written: bytes.length, zeroed };
}

async function encode(job: Job, load: LoadCodec, io: Io): Promise<Done> {
  const codec = await load(job.scheme!.plugin, job.scheme!.id);
  const { rows, out: lent, zeroed } = await readRows(job, codec, await decoderOf(job, load), io);
  const about: About = {
    columns: job.columns,
    ...(job.importance ? { importance: job.importance } : {}),
    ...(job.parameters === undefined ? {} : { parameters: job.parameters }),
  };
  if (job.pass === "observe") return { written: 0, zeroed, state: codec.observer!.observe(rows, about) };

  const out = lent ?? job.write.map((place) => new Uint8Array(place.bytes));
  codec.encode(rows, out, about);
  const bad = codec.invalid?.(out, about) ?? -1;
  if (bad >= 0) throw scaleOverflow(job, rows, bad);
  let written = 0;
  for (const [i, place] of job.write.entries()) {
    if (out[i]!.length !== place.bytes)
      throw new FewbitError(
        "E_PLUGIN_FAILED",
        `${job.scheme!.id} lent ${out[i]!.length} bytes for ${place.bytes}.`,
        {},
        `Report it to the authors of ${job.scheme!.plugin}.`,
      );
    await io.write(place.to, place.offset, out[i]!);
    written += place.bytes;
  }
  return { written, zeroed };
}

/** What the rows have become in another file. */
async function compare(job: Job, load: LoadCodec, io: Io): Promise<Done & { readonly state: MetricSums }> {
  const other: Job = { ...job, read: job.against! };
  const [decoder, otherDecoder] = [await decoderOf(job, load), await decoderOf(other, load)];
  // The first rows are moved out of their codec's memory, which may be the other codec's as well.
  const original = await readRows(job, room, decoder, io);
  const changed = await readRows(other, {}, otherDecoder, io);
  return {
    written: 0,
    zeroed: original.zeroed + changed.zeroed,
    state: measure(original.rows, changed.rows, job.importance),
  };
}

/** Who may have room for decoded rows: an encoder, where it lends some. */
type Lender = Pick<Codec, "borrow">;

/** Float32 rows outside of any codec; one room per thread, grown to the largest chunk. */
let space = new Float32Array(0);
const room: Lender = {
  borrow(rows, columns) {
    if (space.length < rows * columns) space = new Float32Array(rows * columns);
    return { rows: space.subarray(0, rows * columns), out: [] };
  },
};

/** Who decodes the source, where a registered scheme can. */
async function decoderOf(job: Job, load: LoadCodec): Promise<Codec | undefined> {
  const { scheme } = job.read;
  return scheme && (await load(scheme.plugin, scheme.id));
}

interface Rows {
  readonly rows: Float32Array;
  /** Where the encoder lends room for its output. */
  readonly out?: readonly Uint8Array[];
  readonly zeroed: number;
}

/** Source bytes → checked float32 rows, in the encoder's own memory where it lends some. */
async function readRows(job: Job, encoder: Lender, decoder: Codec | undefined, io: Io): Promise<Rows> {
  const { dtype } = job.read;
  const weights = job.rows * job.columns;
  if (dtype === "F32") {
    const target = encoder.borrow?.(job.rows, job.columns) ?? { rows: new Float32Array(weights) };
    const bytes = new Uint8Array(target.rows.buffer, target.rows.byteOffset, target.rows.byteLength);
    await readExtent(job.read, bytes, io);
    return { ...target, zeroed: check(job, bytes, undefined) };
  }
  if (decoder !== undefined) return decodeRows(job, encoder, decoder, io);
  const float = floatTypes.get(dtype);
  if (float === undefined)
    throw new FewbitError(
      "E_SCHEME_UNKNOWN",
      `No registered plugin can read ${dtype}.`,
      { tensor: job.tensor },
      "Install the package that brings it and name it with --plugin.",
    );
  const bytes = scratchOf(job.read.bytes);
  await readExtent(job.read, bytes, io);
  const zeroed = check(job, bytes, undefined);
  const target = encoder.borrow?.(job.rows, job.columns) ?? { rows: new Float32Array(weights) };
  float.decode(bytes, target.rows);
  if (dtype === "F64") refuseFloat32Overflow(job, target.rows);
  return { ...target, zeroed };
}

/** Reads into the decoder's memory, decodes there, and hands the rows over with one copy. */
async function decodeRows(job: Job, encoder: Lender, decoder: Codec, io: Io): Promise<Rows> {
  const lent = decoder.borrow?.(job.rows, job.columns);
  const bytes = lent?.out[0] ?? scratchOf(job.read.bytes);
  await readExtent(job.read, bytes, io);
  const zeroed = check(job, bytes, decoder);
  let rows = lent?.rows ?? new Float32Array(job.rows * job.columns);
  decoder.decode([bytes], rows, { columns: job.columns });
  const target = encoder.borrow?.(job.rows, job.columns);
  if (target === undefined) return { rows, zeroed };
  // Two codecs may share one memory; where the encoder's borrow made it grow, the decoder's view is detached.
  if (lent !== undefined && rows.length === 0) rows = decoder.borrow!(job.rows, job.columns).rows;
  target.rows.set(rows);
  return { ...target, zeroed };
}

/** Refuses NaN and infinity in weights or scales; returns how many weights were zeroed instead, where asked. */
function check(job: Job, bytes: Uint8Array, decoder: Codec | undefined): number {
  const float = floatTypes.get(job.read.dtype);
  const invalid = decoder?.invalid?.([bytes], { columns: job.columns });
  if (float !== undefined) return invalid === -1 ? 0 : clean(job, bytes);
  if (invalid === undefined || invalid < 0) return 0;
  const bytesPerWeight = job.read.bytes / (job.rows * job.columns);
  const place = placeOf(job, invalid, Math.floor(invalid * bytesPerWeight));
  throw new FewbitError(
    "E_NONFINITE",
    `${job.tensor} has a ${job.read.dtype} block with a NaN or infinite scale at row ${place.row}, column ${place.column}`,
    place,
    "The file is damaged or was made from a broken checkpoint: get it again.",
  );
}

/** Where an element of the chunk lies, for messages. */
function placeOf(job: Job, index: number, byte: number) {
  const column = (job.firstColumn ?? 0) + index;
  const { from } = job.read;
  const offset = job.read.offset + byte;
  const origin = from.kind === "view" ? originOf(from.view, offset) : { from, offset, name: undefined };
  return {
    file: nameOf(origin?.from ?? from),
    tensor: job.tensor,
    row: job.firstRow + Math.floor(column / job.columns),
    column: column % job.columns,
    ...(origin === undefined ? {} : { offset: origin.offset }),
    // Of a tensor that is made from others: what the file calls the one that the weight is in.
    ...(origin?.name === undefined ? {} : { key: origin.name }),
  };
}

/** Refuses or, where asked, zeroes NaN and infinite weights in place; returns how many were zeroed. */
function clean(job: Job, bytes: Uint8Array): number {
  const { nonfinite, decode, bytes: size } = floatTypes.get(job.read.dtype)!;
  let zeroed = 0;
  for (let from = 0; ; zeroed++) {
    const found = nonfinite(bytes.subarray(from));
    if (found < 0) return zeroed;
    const at = from + found * size;
    if (job.nonfinite !== "zero") {
      const value = new Float32Array(1);
      decode(bytes.slice(at, at + size), value);
      const place = placeOf(job, at / size, at);
      throw new FewbitError(
        "E_NONFINITE",
        `${job.tensor} has ${value[0]} at row ${place.row}, column ${place.column} (element ${place.row * job.columns + place.column})`,
        place,
        "Check the checkpoint, or pass --nonfinite zero to replace such weights.",
      );
    }
    bytes.fill(0, at, at + size);
    from = at + size;
  }
}

/** A float64 may be finite and yet infinite as float32. */
function refuseFloat32Overflow(job: Job, rows: Float32Array): void {
  const index = rows.findIndex((x) => !Number.isFinite(x));
  if (index >= 0)
    throw new FewbitError(
      "E_SCALE_OVERFLOW",
      `${job.tensor} has a weight beyond the range of float32`,
      placeOf(job, index, index * 8),
      "Scale the checkpoint.",
    );
}

function scaleOverflow(job: Job, rows: Float32Array, index: number): FewbitError {
  let largest = 0;
  const end = Math.min(rows.length, index + 256);
  for (let i = index; i < end; i++) largest = Math.max(largest, Math.abs(rows[i]!));
  const place = placeOf(job, index, Math.floor((index * job.read.bytes) / (job.rows * job.columns)));
  return new FewbitError(
    "E_SCALE_OVERFLOW",
    `${job.tensor} has weights up to ${largest} in the block at row ${place.row}, column ${place.column}: too large for ${job.scheme!.id}`,
    place,
    `Store this tensor as BF16 or F32: --tensor-type '${job.tensor}=bf16'.`,
  );
}
