import {
  FewbitError,
  floatTypes,
  type Locator,
  type Model,
  type Source,
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
  close(): Promise<void>;
}

/**
 * @param open opens a file of the model
 * @param stored what the checkpoint calls a tensor that is asked for by its usual name
 */
export function weightsOf(
  model: Model,
  open: (file: Locator) => Promise<Source>,
  stored: (name: string) => string = (name) => name,
): Weights {
  const byName = new Map(model.tensors.map((tensor) => [tensor.name, tensor]));
  const sources = new Map<number, Promise<Source>>();
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
  const read = async (tensor: TensorInfo, offset: number, into: Uint8Array): Promise<void> => {
    let source = sources.get(tensor.file);
    if (source === undefined) {
      source = open(model.files[tensor.file]!);
      sources.set(tensor.file, source);
    }
    await (await source).read(tensor.offset + offset, into);
  };
  const matrix = async (name: string, first = 0, count?: number): Promise<Matrix> => {
    const tensor = find(name);
    const float = floatTypes.get(tensor.dtype);
    if (float === undefined)
      throw new FewbitError(
        "E_ARCHITECTURE",
        `The tensor is stored as ${tensor.dtype}, which this check cannot read.`,
        { tensor: tensor.name },
        "Leave the check of the logits out.",
      );
    const columns = tensor.shape.at(-1) ?? 1;
    const all = columns === 0 ? 0 : tensor.shape.reduce((product, dim) => product * dim, 1) / columns;
    const rows = count ?? all - first;
    const bytes = new Uint8Array(rows * columns * float.bytes);
    await read(tensor, first * columns * float.bytes, bytes);
    const values = new Float32Array(rows * columns);
    float.decode(bytes, values);
    return { rows, columns, values };
  };
  return {
    has: (name) => byName.has(stored(name)),
    shape: (name) => find(name).shape,
    matrix,
    vector: async (name) => (await matrix(name)).values,
    async bytes(name) {
      const tensor = find(name);
      const bytes = new Uint8Array(tensor.bytes);
      await read(tensor, 0, bytes);
      return bytes;
    },
    async close() {
      for (const source of sources.values()) await (await source).close();
    },
  };
}
