import { floatTypes } from "./dtype.js";
import { FewbitError } from "./error.js";
import { nameOf } from "./source.js";
import type { About, Codec, Job, Locator, Receipt } from "./types.js";

/** The two positional operations an environment must offer. Node: fs; browser: Blob and OPFS. */
export interface Io {
  /** Fills `into` completely from byte `offset`. */
  read(from: Locator, offset: number, into: Uint8Array): void | Promise<void>;
  /** Writes all of `bytes` at byte `offset`. */
  write(to: Locator, offset: number, bytes: Uint8Array): void | Promise<void>;
}

/** Codecs by plugin and scheme id, loaded once per thread. */
export type LoadCodec = (plugin: string, scheme: string) => Codec | Promise<Codec>;

/** Source bytes that are not float32; one per thread, grown to the largest chunk. */
let scratch = new Uint8Array(0);
const scratchOf = (bytes: number): Uint8Array<ArrayBuffer> => {
  if (scratch.length < bytes) scratch = new Uint8Array(bytes);
  return scratch.subarray(0, bytes);
};

/** The heart: one job, on whatever thread. Inline runner, Node worker and web worker all call it. */
export async function execute(job: Job, load: LoadCodec, io: Io): Promise<Receipt> {
  const start = performance.now();
  const done = job.pass === "copy" ? await copy(job, load, io) : await encode(job, load, io);
  return {
    job: job.id,
    tensor: job.tensor,
    rows: job.rows,
    read: job.read.bytes,
    written: done.written,
    milliseconds: performance.now() - start,
    ...(done.state === undefined ? {} : { state: done.state }),
    ...(done.zeroed > 0 ? { zeroed: done.zeroed } : {}),
  };
}

interface Done {
  readonly written: number;
  readonly zeroed: number;
  readonly state?: unknown;
}

/** Bytes to bytes: not even a NaN's payload changes. */
async function copy(job: Job, load: LoadCodec, io: Io): Promise<Done> {
  const bytes = scratchOf(job.read.bytes);
  await io.read(job.read.from, job.read.offset, bytes);
  const zeroed = floatTypes.has(job.read.dtype) ? clean(job, bytes) : 0;
  if (job.read.scheme) await refuseInvalid(job, bytes, load);
  const [place] = job.write;
  await io.write(place!.to, place!.offset, bytes);
  return { written: bytes.length, zeroed };
}

async function encode(job: Job, load: LoadCodec, io: Io): Promise<Done> {
  const codec = await load(job.scheme!.plugin, job.scheme!.id);
  const float = floatTypes.get(job.read.dtype);
  const weights = job.rows * job.columns;
  let zeroed = 0;
  let rows: Float32Array;
  let lent: ReturnType<NonNullable<Codec["borrow"]>> | undefined;
  if (float === undefined) {
    const bytes = scratchOf(job.read.bytes);
    await io.read(job.read.from, job.read.offset, bytes);
    rows = await decodeSource(job, bytes, weights, load);
  } else {
    const bytes = job.read.dtype === "F32" ? undefined : scratchOf(job.read.bytes);
    if (bytes) await io.read(job.read.from, job.read.offset, bytes);
    // Lent views last until the next call of any codec, so they are taken after the last wait.
    lent = codec.borrow?.(job.rows, job.columns);
    rows = lent?.rows ?? new Float32Array(weights);
    if (bytes === undefined) {
      const direct = new Uint8Array(rows.buffer, rows.byteOffset, rows.byteLength);
      const pending = io.read(job.read.from, job.read.offset, direct);
      if (pending) await pending;
      zeroed = clean(job, direct);
    } else {
      zeroed = clean(job, bytes);
      float.decode(bytes, rows);
      if (job.read.dtype === "F64") refuseFloat32Overflow(job, rows);
    }
  }
  const about: About = {
    columns: job.columns,
    ...(job.importance ? { importance: job.importance } : {}),
    ...(job.parameters === undefined ? {} : { parameters: job.parameters }),
  };
  if (job.pass === "observe") return { written: 0, zeroed, state: codec.observer!.observe(rows, about) };

  const out = lent?.out ?? job.write.map((place) => new Uint8Array(place.bytes));
  codec.encode(rows, out, about);
  const bad = codec.invalid?.(out, about) ?? -1;
  if (bad >= 0) throw scaleOverflow(job, rows, bad);
  let written = 0;
  for (const [i, place] of job.write.entries()) {
    if (out[i]!.length !== place.bytes)
      throw new FewbitError(
        "E_PLUGIN_FAILED",
        `${job.scheme!.id} lent ${out[i]!.length} bytes for ${place.bytes}.`,
      );
    await io.write(place.to, place.offset, out[i]!);
    written += place.bytes;
  }
  return { written, zeroed };
}

async function decodeSource(
  job: Job,
  bytes: Uint8Array,
  weights: number,
  load: LoadCodec,
): Promise<Float32Array> {
  const { scheme, dtype } = job.read;
  if (scheme === undefined)
    throw new FewbitError(
      "E_SCHEME_UNKNOWN",
      `No registered plugin can read ${dtype}.`,
      { tensor: job.tensor },
      "Install the package that brings it and name it with --plugin.",
    );
  await refuseInvalid(job, bytes, load);
  const rows = new Float32Array(weights);
  (await load(scheme.plugin, scheme.id)).decode([bytes], rows, { columns: job.columns });
  return rows;
}

/** Where an element of the chunk lies, for messages. */
function placeOf(job: Job, index: number, byte: number) {
  return {
    file: nameOf(job.read.from),
    tensor: job.tensor,
    row: job.firstRow + Math.floor(index / job.columns),
    column: index % job.columns,
    offset: job.read.offset + byte,
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
      const index = at / size;
      const place = placeOf(job, index, at);
      throw new FewbitError(
        "E_NONFINITE",
        `${job.tensor} has ${value[0]} at row ${place.row}, column ${place.column} (element ${job.firstRow * job.columns + index})`,
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

/** Blocks of a source that is quantized already. */
async function refuseInvalid(job: Job, bytes: Uint8Array, load: LoadCodec): Promise<void> {
  const { scheme } = job.read;
  const codec = scheme && (await load(scheme.plugin, scheme.id));
  const index = codec?.invalid?.([bytes], { columns: job.columns }) ?? -1;
  if (index < 0) return;
  const bytesPerWeight = job.read.bytes / (job.rows * job.columns);
  const place = placeOf(job, index, Math.floor(index * bytesPerWeight));
  throw new FewbitError(
    "E_NONFINITE",
    `${job.tensor} has a ${job.read.dtype} block with a NaN or infinite scale at row ${place.row}, column ${place.column}`,
    place,
    "The file is damaged or was made from a broken checkpoint: get it again.",
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
