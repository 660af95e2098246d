import {
  type Extent,
  extent,
  FewbitError,
  floatTypes,
  type ImportanceMatrix,
  isFewbitError,
  locate,
  type Model,
  nameOf,
  type Registry,
  type TensorInfo,
} from "@fewbit/core";

/** A chunk is at least one row, and a worker has room for rows of at most this many weights. */
const MAX_COLUMNS = 1 << 22;

/** Two models that should be the same but for how their weights are stored. */
export interface PairRequest {
  readonly original: Model;
  readonly quantized: Model;
  /** Brings the schemes that decode both. */
  readonly registry: Registry;
  readonly importance?: ImportanceMatrix;
}

/** A tensor that both models have, how each stores it, and who decodes it. */
export interface Pair {
  readonly name: string;
  readonly shape: readonly number[];
  readonly original: Extent;
  readonly quantized: Extent;
  /** `experts × columns` values; absent where the importance matrix has no entry. */
  readonly importance?: Float32Array;
}

/** Which tensors can be held against each other, and what is left over. */
export interface Pairing {
  /** In the order of the original. */
  readonly pairs: readonly Pair[];
  /** Tensors of the original that the quantized model lacks. */
  readonly missing: readonly string[];
  /** Tensors of the quantized model that the original lacks. */
  readonly added: readonly string[];
  /** Tensors of one type in both models, which no registered plugin can decode: integers, for instance. */
  readonly opaque: readonly { readonly name: string; readonly dtype: string }[];
  /** Entries of the importance matrix for which neither model has a tensor. */
  readonly foreign: readonly string[];
}

/**
 * Finds the tensors of two models by name, whatever their order, files and formats. Pure.
 * @throws `E_MODEL_MISMATCH` where the models have no tensor in common, or one of another shape; `E_IMATRIX_SHAPE`
 * where the importance matrix was collected from another model; `E_SCHEME_UNKNOWN` where a plugin is missing; `E_MEMORY`
 */
export function pairTensors({ original, quantized, registry, importance }: PairRequest): Pairing {
  const others = new Map(quantized.tensors.map((tensor) => [tensor.name, tensor]));
  const names = new Set(original.tensors.map(({ name }) => name));
  const common = original.tensors.filter(({ name }) => others.has(name));
  if (common.length === 0) throw nothingInCommon(original, quantized);
  refuseOtherShapes(common, others, original, quantized);
  if (importance !== undefined) refuseOtherMatrix(common, importance);

  const opaque: { name: string; dtype: string }[] = [];
  const pairs = common.flatMap((tensor): Pair[] => {
    const { name, shape, dtype } = tensor;
    const other = others.get(name)!;
    if (dtype === other.dtype && !decodable(dtype, registry)) {
      opaque.push({ name, dtype });
      return [];
    }
    refuseLongRows(tensor);
    const values = importance?.tensors.get(name);
    return [
      {
        name,
        shape,
        original: stored(tensor, original, registry),
        quantized: stored(other, quantized, registry),
        ...(values === undefined ? {} : { importance: values }),
      },
    ];
  });
  return {
    pairs,
    opaque,
    missing: original.tensors.filter(({ name }) => !others.has(name)).map(({ name }) => name),
    added: quantized.tensors.filter(({ name }) => !names.has(name)).map(({ name }) => name),
    foreign: [...(importance?.tensors.keys() ?? [])].filter((name) => !names.has(name) && !others.has(name)),
  };
}

const decodable = (dtype: string, registry: Registry): boolean =>
  floatTypes.has(dtype) || registry.schemes.some(({ value }) => value.id === dtype);

function stored(tensor: TensorInfo, model: Model, registry: Registry): Extent {
  const { dtype, offset, bytes } = tensor;
  const from = model.files[tensor.file]!;
  const place = { from, dtype, offset, bytes };
  const entry = registry.schemes.find(({ value }) => value.id === dtype);
  if (entry !== undefined) return { ...place, scheme: { plugin: entry.plugin.name, id: dtype } };
  if (floatTypes.has(dtype)) return place;
  try {
    const { plugin, value } = registry.scheme(dtype);
    return { ...place, scheme: { plugin: plugin.name, id: value.id } };
  } catch (error) {
    throw isFewbitError(error) ? locate(error, { file: nameOf(from), tensor: tensor.name }) : error;
  }
}

/** Without leading ones, which some formats keep and others drop. */
const essential = (shape: readonly number[]): readonly number[] => {
  const first = shape.findIndex((n) => n !== 1);
  return first < 0 ? [] : shape.slice(first);
};

const shapeText = (shape: readonly number[]): string => `[${shape.join(", ")}]`;

const firstFile = (model: Model): string =>
  model.files[0] === undefined ? "a model" : nameOf(model.files[0]);

function nothingInCommon(original: Model, quantized: Model): FewbitError {
  const example = (model: Model): string =>
    model.tensors[0] === undefined ? "has no tensors" : `has tensors such as ${model.tensors[0].name}`;
  return new FewbitError(
    "E_MODEL_MISMATCH",
    `It has no tensor in common with ${firstFile(original)}: that one ${example(original)}, this one ${example(quantized)}.`,
    { file: firstFile(quantized) },
    original.format === quantized.format
      ? "Give the model that it was made from."
      : `Formats name tensors differently: give the original in the ${quantized.format} format.`,
  );
}

function refuseOtherShapes(
  common: readonly TensorInfo[],
  others: ReadonlyMap<string, TensorInfo>,
  original: Model,
  quantized: Model,
): void {
  const unlike = common.filter(({ name, shape }) => {
    const [a, b] = [essential(shape), essential(others.get(name)!.shape)];
    return a.length !== b.length || a.some((n, i) => n !== b[i]);
  });
  const [first] = unlike;
  if (first === undefined) return;
  const more = unlike.length === 1 ? "" : `; ${unlike.length - 1} more of ${common.length} differ in shape`;
  throw new FewbitError(
    "E_MODEL_MISMATCH",
    `${first.name} is ${shapeText(others.get(first.name)!.shape)} here and ${shapeText(first.shape)} in ${firstFile(original)}${more}.`,
    { file: firstFile(quantized), tensor: first.name },
    "Give the model that it was made from.",
  );
}

function refuseOtherMatrix(common: readonly TensorInfo[], matrix: ImportanceMatrix): void {
  const at = matrix.file === undefined ? {} : { file: matrix.file };
  const remedy = "The matrix was collected from another model: collect one from this model.";
  let entries = 0;
  for (const { name, shape } of common) {
    const values = matrix.tensors.get(name);
    if (values === undefined) continue;
    entries++;
    const { columns, matrices } = extent(shape);
    if (values.length !== columns * matrices)
      throw new FewbitError(
        "E_IMATRIX_SHAPE",
        `The importance of ${name} has ${values.length} values; its rows need ${columns}${matrices > 1 ? ` for each of ${matrices} experts` : ""}.`,
        { ...at, tensor: name },
        remedy,
      );
  }
  if (entries === 0)
    throw new FewbitError(
      "E_IMATRIX_SHAPE",
      "The importance matrix has no entry for any tensor of the model.",
      at,
      remedy,
    );
}

function refuseLongRows({ name, shape }: TensorInfo): void {
  const { columns } = extent(shape);
  if (columns > MAX_COLUMNS)
    throw new FewbitError(
      "E_MEMORY",
      `${name} has rows of ${columns} weights; a worker handles whole rows of at most ${MAX_COLUMNS}.`,
      { tensor: name },
      "Compare models without this tensor.",
    );
}
