import { floatTypes } from "./dtype.js";
import { FewbitError, isFewbitError } from "./error.js";
import type { Entry, Registry } from "./registry.js";
import type {
  Assignment,
  Extent,
  FormatWriter,
  ImportanceMatrix,
  Job,
  Locator,
  Model,
  Nonfinite,
  Output,
  Part,
  Plan,
  PlannedTensor,
  Recipe,
  RecipeContext,
  Scheme,
  TensorInfo,
} from "./types.js";
import { narrow } from "./view.js";

/** Weights per encode chunk: 4 MiB of float32, where throughput was best and memory small. Part of `plan.version`. */
const CHUNK_WEIGHTS = 1 << 20;
/** Bytes per copied chunk. */
const CHUNK_BYTES = 1 << 22;
/** A chunk is at least one row, so a longer row would break the promise of 64 MiB per worker. */
const MAX_COLUMNS = 1 << 22;

/**
 * The output file of every tensor, from 0, given the bytes of each in the order of the output. Files are filled one
 * after another; one may be left without tensors, to hold metadata only.
 */
export type AssignFiles = (bytes: readonly number[]) => readonly number[];

/** What a plan is made from. */
export interface PlanRequest {
  readonly model: Model;
  readonly recipe: Recipe;
  readonly context: RecipeContext;
  readonly registry: Registry;
  readonly writer: FormatWriter;
  /** Splits the output. Absent: one file, or those of the source where the recipe's options say so. */
  readonly assignFiles?: AssignFiles;
  /** Allow decoding a quantized source, which adds its error to the new one. */
  readonly allowRequantize?: boolean;
}

/** A plan and the headers of the files it describes. */
export interface Planned {
  readonly plan: Plan;
  /** Headers of the output files: not part of the plan, which stays free of bulk. */
  readonly output: Output;
}

/** Numbers of a shape: whole rows of `columns`, in `matrices` of equally many rows each (experts). */
export function extent(shape: readonly number[]): { columns: number; rows: number; matrices: number } {
  const columns = shape.at(-1) ?? 1;
  const rows = shape.slice(0, -1).reduce((a, b) => a * b, 1);
  const matrices = shape.slice(0, -2).reduce((a, b) => a * b, 1);
  return { columns, rows, matrices };
}

/**
 * Model + recipe → plan: every tensor's scheme, reason, source bytes and place in the output. Pure.
 * @throws `E_SCHEME_UNKNOWN`, `E_SCHEME_UNFIT`, `E_REQUANTIZE`, `E_IMPORTANCE_MISSING`, `E_IMATRIX_SHAPE`, `E_MEMORY`;
 *   `E_PLUGIN_FAILED` where a plugin throws an error of its own or assigns the tensors wrongly
 */
export function makePlan(request: PlanRequest): Planned {
  const { model, recipe, context, registry, writer } = request;
  const tensors = new Map(model.tensors.map((tensor) => [tensor.name, tensor]));
  const assignments = attempt(`The recipe ${recipe.id}`, () => recipe.assign(model, context));
  checkAssignments(recipe, assignments, tensors);
  const chosen = assignments.map((assignment) => {
    const tensor = tensors.get(assignment.tensor)!;
    const ids = assignment.scheme === "keep" ? [] : [assignment.scheme, ...(assignment.instead ?? [])];
    const choice = choose(tensor, ids, assignment.reason, registry);
    // What the recipe requires of its first choice says nothing about a substitute.
    const required =
      assignment.importance === "required" &&
      choice.entry !== undefined &&
      choice.entry === registry.scheme(assignment.scheme);
    return { tensor, required, ...choice };
  });

  for (const { tensor, dtype } of chosen) {
    const verdict = writer.accepts(dtype);
    if (verdict !== true)
      throw new FewbitError(
        "E_SCHEME_UNFIT",
        `${tensor.name} cannot be stored as ${dtype}: ${verdict}`,
        { tensor: tensor.name },
        "Choose another type for it.",
      );
  }
  const encoded = chosen.filter((c) => c.entry !== undefined);
  if (!request.allowRequantize) refuseRequantizing(encoded.map((c) => c.tensor));
  const importance = new Map(
    encoded.map((c) => [
      c.tensor.name,
      usesImportance(c.tensor, c.entry!.value, c.required, context.importance),
    ]),
  );

  const files =
    request.assignFiles?.(chosen.map(({ parts }) => parts.reduce((sum, { bytes }) => sum + bytes, 0))) ??
    chosen.map(({ tensor }) => (context.options.keepSplit === true ? tensor.file : 0));
  const draft = {
    metadata: attempt(`The recipe ${recipe.id}`, () => recipe.metadata?.(model, context)) ?? model.metadata,
    files:
      request.assignFiles === undefined && context.options.keepSplit === true
        ? model.files.length
        : files.reduce((most, file) => Math.max(most, file + 1), 1),
    tensors: chosen.map(({ tensor, dtype, parts }, i) => ({
      name: tensor.name,
      dtype,
      shape: tensor.shape,
      parts,
      file: files[i]!,
    })),
  };
  const output = attempt(`The writer ${writer.id}`, () => writer.layout(draft));
  const places = new Map(output.places.map((place) => [`${place.tensor}\0${place.part}`, place]));

  return {
    output,
    plan: {
      version: 1,
      recipe: recipe.id,
      writer: writer.id,
      files: output.files.map((file) => file.size),
      tensors: chosen.map(({ tensor, entry, dtype, parts, reason }): PlannedTensor => {
        const decoder = decoderOf(tensor.dtype, registry);
        return {
          name: tensor.name,
          shape: tensor.shape,
          from: {
            dtype: tensor.dtype,
            file: tensor.file,
            offset: tensor.offset,
            bytes: tensor.bytes,
            ...(decoder ? { plugin: decoder.plugin.name } : {}),
          },
          to: {
            ...(entry ? { plugin: entry.plugin.name } : {}),
            dtype,
            parts: parts.map((part) => {
              const { file, offset } = places.get(`${tensor.name}\0${part.name}`)!;
              return { ...part, file, offset };
            }),
          },
          importance: importance.get(tensor.name) === true,
          reason,
          chunk: entry ? chunkRows(tensor) : CHUNK_BYTES,
        };
      }),
    },
  };
}

const REPORT = "Report it to the authors of the plugin that brings it.";

/** Runs a plugin's function: what it throws of its own is told as the plugin's, with the stack that helps its authors. */
function attempt<T>(what: string, run: () => T): T {
  try {
    return run();
  } catch (thrown) {
    if (isFewbitError(thrown)) throw thrown;
    const message = thrown instanceof Error ? thrown.message : String(thrown);
    const error = new FewbitError("E_PLUGIN_FAILED", `${what} failed: ${message}`, {}, REPORT, thrown);
    if (thrown instanceof Error && thrown.stack !== undefined) error.stack = thrown.stack;
    throw error;
  }
}

/** Every tensor once: a model that lost one, or gained one, loads nowhere. */
function checkAssignments(
  recipe: Recipe,
  assignments: readonly Assignment[],
  tensors: ReadonlyMap<string, TensorInfo>,
): void {
  const refuse = (tensor: string, what: string): FewbitError =>
    new FewbitError("E_PLUGIN_FAILED", `The recipe ${recipe.id} ${what}.`, { tensor }, REPORT);
  const left = new Set(tensors.keys());
  for (const { tensor } of assignments)
    if (!left.delete(tensor))
      throw refuse(
        tensor,
        tensors.has(tensor) ? `assigns ${tensor} twice` : `assigns ${tensor}, which the model lacks`,
      );
  for (const tensor of left) throw refuse(tensor, `leaves out ${tensor}`);
}

/** The first scheme that fits; no entry where the bytes are copied. */
function choose(tensor: TensorInfo, ids: readonly string[], reason: string, registry: Registry) {
  const copy: readonly Part[] = [
    { name: "", dtype: tensor.dtype, shape: tensor.shape, bytes: tensor.bytes, per: "tensor" },
  ];
  if (ids.length === 0) return { entry: undefined, dtype: tensor.dtype, parts: copy, reason };
  const refused: string[] = [];
  for (const id of ids) {
    const entry = registry.scheme(id);
    const why = [...refused.map((r) => `${r}; ${entry.value.id} instead`), reason].join("; ");
    if (entry.value.id === tensor.dtype)
      return {
        entry: undefined,
        dtype: tensor.dtype,
        parts: copy,
        reason: `${why}; already ${tensor.dtype}`,
      };
    const parts = attempt(`The layout of ${entry.plugin.name}:${entry.value.id}`, () =>
      entry.value.layout(tensor.shape),
    );
    if (!("unfit" in parts)) return { entry, dtype: entry.value.id, parts, reason: why };
    refused.push(`${entry.value.id} does not fit: ${parts.unfit}`);
  }
  throw new FewbitError(
    "E_SCHEME_UNFIT",
    `${tensor.name} [${tensor.shape.join(" × ")}] fits none of the schemes it may take: ${refused.join("; ")}.`,
    { tensor: tensor.name },
    "Choose another type for it with --tensor-type, or leave it as it is.",
  );
}

function decoderOf(dtype: string, registry: Registry): Entry<Scheme> | undefined {
  return registry.schemes.find((entry) => entry.value.id === dtype);
}

function refuseRequantizing(tensors: readonly TensorInfo[]): void {
  const quantized = tensors.find((tensor) => !floatTypes.has(tensor.dtype));
  if (quantized !== undefined)
    throw new FewbitError(
      "E_REQUANTIZE",
      `${quantized.name} is ${quantized.dtype} already; quantizing it again would add a second error to the first.`,
      { tensor: quantized.name },
      "Start from the F16, BF16 or F32 model, or pass --allow-requantize.",
    );
}

/** @throws where the scheme needs a matrix and there is none, or where the entry has another shape than the tensor */
function usesImportance(
  tensor: TensorInfo,
  scheme: Scheme,
  required: boolean,
  matrix: ImportanceMatrix | undefined,
): boolean {
  if (scheme.importance === "ignored") return false;
  const values = matrix?.tensors.get(tensor.name);
  if (values === undefined) {
    if (scheme.importance === "used" && !required) return false;
    throw new FewbitError(
      "E_IMPORTANCE_MISSING",
      `${tensor.name} becomes ${scheme.id}, which cannot be made without an importance matrix${matrix ? `, and the one given has no entry for it` : ""}.`,
      { tensor: tensor.name, ...(matrix?.file ? { file: matrix.file } : {}) },
      "Collect one and pass it with --imatrix, or choose another type for this tensor with --tensor-type.",
    );
  }
  const { columns, matrices } = extent(tensor.shape);
  if (values.length !== columns * matrices)
    throw new FewbitError(
      "E_IMATRIX_SHAPE",
      `The importance of ${tensor.name} has ${values.length} values; its rows need ${columns}${matrices > 1 ? ` for each of ${matrices} experts` : ""}.`,
      { tensor: tensor.name, ...(matrix?.file ? { file: matrix.file } : {}) },
      "The matrix was collected from another model: collect one from this model.",
    );
  return true;
}

/** Chunks never cross a matrix of a 3-D tensor: experts have their own importance row. */
function chunkRows(tensor: TensorInfo): number {
  const { columns, rows, matrices } = extent(tensor.shape);
  if (columns > MAX_COLUMNS)
    throw new FewbitError(
      "E_MEMORY",
      `${tensor.name} has rows of ${columns} weights; a worker handles whole rows of at most ${MAX_COLUMNS}.`,
      { tensor: tensor.name },
      "Leave this tensor as it is.",
    );
  return Math.max(1, Math.min(Math.floor(CHUNK_WEIGHTS / Math.max(columns, 1)), rows / matrices));
}

/** One pass over a plan, with the files of today. */
export interface JobRequest {
  readonly plan: Plan;
  /** Source and output files of today, by the plan's file numbers. */
  readonly from: readonly Locator[];
  readonly to: readonly Locator[];
  readonly pass: "observe" | "encode";
  /** Which tensors the observe pass visits. */
  readonly observed?: ReadonlySet<string>;
  readonly importance?: ImportanceMatrix;
  /** What the observe pass concluded, by tensor. */
  readonly parameters?: ReadonlyMap<string, unknown>;
  readonly nonfinite?: Nonfinite;
}

/** Plan → jobs of one pass, in the order of the output. */
export function* splitJobs(request: JobRequest): Generator<Job> {
  let id = 0;
  for (const tensor of request.plan.tensors) {
    if (request.pass === "observe" && !request.observed?.has(tensor.name)) continue;
    const jobs = tensor.to.plugin === undefined ? copyJobs(tensor, request) : encodeJobs(tensor, request);
    for (const job of jobs) yield { ...job, id: id++ };
  }
}

/** Of a computed tensor, no more than these bytes need: a job is cloned to its thread. */
function placed(from: Locator, offset: number, bytes: number): Pick<Extent, "from" | "offset"> {
  if (from.kind !== "view") return { from, offset };
  const { view, offset: at } = narrow(from.view, offset, bytes);
  return view.op === "stored"
    ? { from: view.from, offset: view.offset + at }
    : { from: { kind: "view", view }, offset: at };
}

function* copyJobs(tensor: PlannedTensor, { from, to, nonfinite }: JobRequest): Generator<Omit<Job, "id">> {
  const { columns, rows } = extent(tensor.shape);
  const place = tensor.to.parts[0]!;
  const rowBytes = rows === 0 ? 0 : tensor.from.bytes / rows;
  // Whole rows where a row is short, so that a bad weight can be named; long rows are cut anywhere.
  const step =
    rowBytes > 0 && rowBytes <= tensor.chunk ? Math.floor(tensor.chunk / rowBytes) * rowBytes : tensor.chunk;
  for (let done = 0; done < tensor.from.bytes; done += step) {
    const bytes = Math.min(step, tensor.from.bytes - done);
    const firstRow = Math.floor(done / rowBytes);
    const firstColumn = Math.floor((done - firstRow * rowBytes) * (columns / rowBytes));
    yield {
      pass: "copy",
      tensor: tensor.name,
      columns,
      firstRow,
      rows: Math.floor(bytes / rowBytes),
      ...(firstColumn > 0 ? { firstColumn } : {}),
      read: {
        ...placed(from[tensor.from.file]!, tensor.from.offset + done, bytes),
        dtype: tensor.from.dtype,
        bytes,
        ...(tensor.from.plugin ? { scheme: { plugin: tensor.from.plugin, id: tensor.from.dtype } } : {}),
      },
      write: [{ to: to[place.file]!, offset: place.offset + done, bytes }],
      ...(nonfinite ? { nonfinite } : {}),
    };
  }
}

function* encodeJobs(tensor: PlannedTensor, request: JobRequest): Generator<Omit<Job, "id">> {
  const { columns, rows, matrices } = extent(tensor.shape);
  const perMatrix = rows / matrices;
  const rowBytes = tensor.from.bytes / rows;
  const values = tensor.importance ? request.importance?.tensors.get(tensor.name) : undefined;
  for (let matrix = 0; matrix < matrices; matrix++) {
    const importance = values?.slice(matrix * columns, (matrix + 1) * columns);
    for (let row = 0; row < perMatrix; row += tensor.chunk) {
      const count = Math.min(tensor.chunk, perMatrix - row);
      const firstRow = matrix * perMatrix + row;
      yield {
        pass: request.pass,
        tensor: tensor.name,
        scheme: { plugin: tensor.to.plugin!, id: tensor.to.dtype },
        columns,
        firstRow,
        rows: count,
        read: {
          ...placed(
            request.from[tensor.from.file]!,
            tensor.from.offset + firstRow * rowBytes,
            count * rowBytes,
          ),
          dtype: tensor.from.dtype,
          bytes: count * rowBytes,
          ...(tensor.from.plugin ? { scheme: { plugin: tensor.from.plugin, id: tensor.from.dtype } } : {}),
        },
        write: tensor.to.parts
          .filter((part) => part.per === "row")
          .map((part) => ({
            to: request.to[part.file]!,
            offset: part.offset + firstRow * (part.bytes / rows),
            bytes: count * (part.bytes / rows),
          })),
        ...(importance ? { importance } : {}),
        ...(request.parameters?.has(tensor.name) ? { parameters: request.parameters.get(tensor.name) } : {}),
        ...(request.nonfinite ? { nonfinite: request.nonfinite } : {}),
      };
    }
  }
}

/** Totals of a plan, for people. */
export interface PlanSummary {
  readonly weights: number;
  /** Tensor bytes before and after; headers not counted. */
  readonly bytesBefore: number;
  readonly bytesAfter: number;
  readonly bitsPerWeightBefore: number;
  readonly bitsPerWeight: number;
  /** Bytes of the output files, headers included. */
  readonly fileBytes: number;
  /** Stored type → number of tensors, weights and bytes. */
  readonly types: ReadonlyMap<
    string,
    { readonly tensors: number; readonly weights: number; readonly bytes: number }
  >;
}

/** Adds up a plan. Pure. */
export function summarise(plan: Plan): PlanSummary {
  const types = new Map<string, { tensors: number; weights: number; bytes: number }>();
  let weights = 0;
  let bytesBefore = 0;
  let bytesAfter = 0;
  for (const tensor of plan.tensors) {
    const count = tensor.shape.reduce((a, b) => a * b, 1);
    const bytes = tensor.to.parts.reduce((sum, part) => sum + part.bytes, 0);
    weights += count;
    bytesBefore += tensor.from.bytes;
    bytesAfter += bytes;
    const type = types.get(tensor.to.dtype) ?? { tensors: 0, weights: 0, bytes: 0 };
    types.set(tensor.to.dtype, {
      tensors: type.tensors + 1,
      weights: type.weights + count,
      bytes: type.bytes + bytes,
    });
  }
  return {
    weights,
    bytesBefore,
    bytesAfter,
    bitsPerWeightBefore: weights === 0 ? 0 : (bytesBefore * 8) / weights,
    bitsPerWeight: weights === 0 ? 0 : (bytesAfter * 8) / weights,
    fileBytes: plan.files.reduce((a, b) => a + b, 0),
    types,
  };
}
