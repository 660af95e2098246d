import {
  FewbitError,
  floatTypes,
  type Model,
  type ReadStored,
  readView,
  type TensorInfo,
} from "@fewbit/core";

/** Some rows of a tensor, each of `columns` weights. */
export interface Matrix {
  readonly rows: number;
  readonly columns: number;
  readonly values: Float32Array;
}

/** The tensors of a checkpoint, read when they are needed. */
export interface Weights {
  has(name: string): boolean;
  /** Row-major. */
  shape(name: string): readonly number[];
  /** Rows of the tensor as a matrix: all but its last dimension are rows. All of them unless said otherwise. */
  matrix(name: string, first?: number, count?: number): Promise<Matrix>;
  /** All weights of the tensor. */
  vector(name: string): Promise<Float32Array>;
  /** The tensor as it is stored. */
  bytes(name: string): Promise<Uint8Array>;
}

/**
 * @param read reads bytes of the model's files
 * @param stored what the checkpoint calls a tensor that is asked for by its usual name
 */
export function weightsOf(
  model: Model,
  read: ReadStored,
  stored: (name: string) => string = (name) => name,
): Weights {
  const byName = new Map(model.tensors.map((tensor) => [tensor.name, tensor]));
  const find = (name: string): TensorInfo => {
    const tensor = byName.get(stored(name));
    if (tensor === undefined)
      throw new FewbitError(
        "E_CHECKPOINT",
        `The checkpoint has no tensor ${stored(name)}.`,
        { tensor: stored(name) },
        "Download the checkpoint again; if it is complete, its config.json is of another model.",
      );
    return tensor;
  };
  const bytesOf = async (tensor: TensorInfo, offset: number, count: number): Promise<Uint8Array> => {
    const bytes = new Uint8Array(count);
    const from = model.files[tensor.file]!;
    await (from.kind === "view"
      ? readView(from.view, tensor.offset + offset, bytes, read)
      : read(from, tensor.offset + offset, bytes));
    return bytes;
  };
  const matrix = async (name: string, first = 0, count?: number): Promise<Matrix> => {
    const tensor = find(name);
    const float = floatTypes.get(tensor.dtype);
    if (float === undefined)
      throw new FewbitError(
        "E_ARCHITECTURE",
        `The independent computation does not read weights stored as ${tensor.dtype}.`,
        { tensor: tensor.name },
        "Leave the check of the logits out.",
      );
    const columns = tensor.shape.at(-1) ?? 1;
    const all = columns === 0 ? 0 : tensor.shape.reduce((product, dim) => product * dim, 1) / columns;
    const rows = count ?? all - first;
    const values = new Float32Array(rows * columns);
    float.decode(await bytesOf(tensor, first * columns * float.bytes, rows * columns * float.bytes), values);
    return { rows, columns, values };
  };
  return {
    has: (name) => byName.has(stored(name)),
    shape: (name) => find(name).shape,
    matrix,
    vector: async (name) => (await matrix(name)).values,
    bytes: (name) => bytesOf(find(name), 0, find(name).bytes),
  };
}
