// The weights of one tensor, before and after: read once more, decoded where the command runs, and counted.
import {
  type Extent,
  extent,
  FewbitError,
  inlineRunner,
  type Job,
  type Model,
  nameOf,
  type Registry,
} from "@fewbit/core";
import { nodeIo } from "@fewbit/core/node";
import { type Pair, pairTensors } from "@fewbit/evaluate";
import type { Distribution } from "@fewbit/report";
import type { Session } from "./session.js";

/** A picture of more weights shows nothing else: of larger tensors, as many are looked at, all over the tensor. */
const MOST_WEIGHTS = 1 << 24;
const CHUNK_WEIGHTS = 1 << 18;
const BINS = 121;

interface DistributionRequest {
  readonly original: Model;
  readonly candidates: readonly Model[];
  readonly tensor: string;
  readonly registry: Registry;
}

/** @throws `E_USAGE` where a model has no such tensor, or none that can be decoded */
export async function distributionOf(request: DistributionRequest, session: Session): Promise<Distribution> {
  const { CodeCounter, HistogramCounter } = await import("@fewbit/report");
  const { original, candidates, tensor, registry } = request;
  const pairs = candidates.map((quantized) => pairOf(tensor, { original, quantized, registry }));
  const [{ shape, original: stored }] = pairs as [Pair, ...Pair[]];

  let largest = 0;
  let squares = 0;
  let count = 0;
  for await (const weights of decoded(stored, shape, registry, session)) {
    for (const weight of weights) {
      largest = Math.max(largest, Math.abs(weight));
      squares += weight * weight;
    }
    count += weights.length;
  }
  // A few outliers would leave all others in one bin.
  const to = Math.min(largest, 5 * Math.sqrt(squares / Math.max(count, 1))) || 1;
  const counted = async (from: Extent) => {
    const counter = new HistogramCounter(-to, to, BINS);
    for await (const weights of decoded(from, shape, registry, session)) counter.add(weights);
    return counter.result();
  };
  const before = await counted(stored);
  const after: Distribution["candidates"][number][] = [];
  for (const [i, { quantized }] of pairs.entries()) {
    const codes = CodeCounter.for(quantized.dtype);
    if (codes !== undefined)
      for await (const bytes of copied(quantized, shape, registry, session)) codes.add(bytes);
    after.push({
      file: fileOf(candidates[i]!),
      dtype: quantized.dtype,
      decoded: await counted(quantized),
      ...(codes === undefined ? {} : { codes: codes.result() }),
    });
  }
  return { tensor, shape, original: before, candidates: after };
}

const fileOf = ({ files: [first] }: Model): string =>
  first === undefined ? "unnamed" : (nameOf(first).split(/[/\\]/).at(-1) ?? "");

function pairOf(
  tensor: string,
  request: { readonly original: Model; readonly quantized: Model; readonly registry: Registry },
): Pair {
  const pair = pairTensors(request).pairs.find(({ name }) => name === tensor);
  if (pair !== undefined) return pair;
  throw new FewbitError(
    "E_USAGE",
    `There is no tensor ${tensor} that both models have and that can be decoded.`,
    { file: fileOf(request.quantized) },
    "See fewbit inspect for the names of tensors.",
  );
}

/** The weights in pieces that are only valid until the next. */
async function* decoded(from: Extent, shape: readonly number[], registry: Registry, session: Session) {
  const float = registry.scheme("F32");
  const scheme = { plugin: float.plugin.name, id: float.value.id };
  for await (const bytes of pieces(
    { pass: "encode", scheme, nonfinite: "zero" },
    from,
    shape,
    registry,
    session,
  ))
    yield new Float32Array(bytes.buffer, bytes.byteOffset, bytes.length / 4);
}

const copied = (from: Extent, shape: readonly number[], registry: Registry, session: Session) =>
  pieces({ pass: "copy", nonfinite: "keep" }, from, shape, registry, session);

/** What jobs would write, caught. */
async function* pieces(
  kind: Pick<Job, "pass" | "scheme" | "nonfinite">,
  from: Extent,
  shape: readonly number[],
  registry: Registry,
  { signal }: Session,
): AsyncGenerator<Uint8Array<ArrayBuffer>> {
  const { columns, rows } = extent(shape);
  const io = nodeIo();
  let caught = new Uint8Array();
  const runner = inlineRunner(registry.plugins, {
    read: io.read,
    write: (_, __, bytes) => {
      caught = bytes.slice();
    },
  });
  try {
    for await (const _ of runner.run(jobs(kind, from, columns, rows), { modules: {}, signal })) yield caught;
  } finally {
    io.close();
  }
}

function* jobs(
  kind: Pick<Job, "pass" | "scheme" | "nonfinite">,
  from: Extent,
  columns: number,
  rows: number,
): Generator<Job> {
  if (columns === 0 || rows === 0) return;
  const perChunk = Math.max(1, Math.floor(CHUNK_WEIGHTS / columns));
  const chunks = Math.ceil(rows / perChunk);
  const step = Math.max(1, Math.ceil((rows * columns) / MOST_WEIGHTS));
  const rowBytes = from.bytes / rows;
  for (let chunk = 0; chunk < chunks; chunk += step) {
    const firstRow = chunk * perChunk;
    const count = Math.min(perChunk, rows - firstRow);
    const read = { ...from, offset: from.offset + firstRow * rowBytes, bytes: count * rowBytes };
    yield {
      id: chunk,
      ...kind,
      tensor: "",
      columns,
      firstRow,
      rows: count,
      read,
      write: [{ to: nowhere, offset: 0, bytes: kind.pass === "copy" ? read.bytes : count * columns * 4 }],
    };
  }
}

const nowhere = { kind: "file", path: "" } as const;
