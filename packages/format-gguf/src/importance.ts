import { FewbitError, type ImportanceMatrix, type Model, type RecipeOptions } from "@fewbit/core";
import { protection, roleOf } from "./selection.js";
import { quoted } from "./text.js";

/** How an importance matrix and a model go together. */
export interface ImportanceFit {
  /** The matrix without the entries that llama-quantize ignores. */
  readonly matrix: ImportanceMatrix;
  /** Tensors that will be quantized without importance, because the matrix has no entry for them. */
  readonly missing: readonly string[];
  /** Entries for tensors that the model does not have. */
  readonly unknown: readonly string[];
}

/**
 * Holds a matrix against a model: each entry must have `experts × columns` values. Only a token embedding's entry may
 * have another width: it was collected from the output tensor that shares the name, and is left out.
 *
 * @throws `E_IMATRIX_SHAPE`
 */
export function checkImportance(
  model: Model,
  matrix: ImportanceMatrix,
  options: RecipeOptions = {},
): ImportanceFit {
  const shapes = new Map(model.tensors.map(({ name, shape }) => [name, shape]));
  const unknown: string[] = [];
  const unfit = new Set<string>();
  for (const [name, values] of matrix.tensors) {
    const shape = shapes.get(name);
    if (shape === undefined) {
      unknown.push(name);
      continue;
    }
    const columns = shape.at(-1) ?? 1;
    const experts = shape.slice(0, -2).reduce((a, b) => a * b, 1);
    if (values.length === columns * experts) continue;
    if (roleOf(name) !== "embedding")
      throw new FewbitError(
        "E_IMATRIX_SHAPE",
        `The importance of ${quoted(name)} has ${values.length} values; its rows need ${columns}${experts > 1 ? ` for each of ${experts} experts` : ""}.`,
        { tensor: name, ...(matrix.file === undefined ? {} : { file: matrix.file }) },
        "The matrix was collected from another model: collect one from this model.",
      );
    unfit.add(name);
  }
  const missing = model.tensors.filter(
    (tensor) =>
      !matrix.tensors.has(tensor.name) &&
      !["embedding", "output"].includes(roleOf(tensor.name)) &&
      protection(tensor, options) === undefined,
  );
  return {
    matrix: keep(matrix, (name) => !unfit.has(name)),
    missing: missing.map(({ name }) => name),
    unknown,
  };
}

/**
 * Only entries whose name contains one of `include`, or none of `exclude`: llama-quantize's --include-weights and
 * --exclude-weights.
 *
 * @throws `E_USAGE` where both are given
 */
export function filterImportance(
  matrix: ImportanceMatrix,
  { include, exclude }: { readonly include?: readonly string[]; readonly exclude?: readonly string[] },
): ImportanceMatrix {
  if (include?.length && exclude?.length)
    throw new FewbitError(
      "E_USAGE",
      "Entries of the importance matrix can be included or excluded, not both.",
      {},
      "Name only those to include, or only those to exclude.",
    );
  if (include?.length) return keep(matrix, (name) => include.some((part) => name.includes(part)));
  return keep(matrix, (name) => !exclude?.some((part) => name.includes(part)));
}

const keep = (matrix: ImportanceMatrix, wanted: (name: string) => boolean): ImportanceMatrix => ({
  ...matrix,
  tensors: new Map([...matrix.tensors].filter(([name]) => wanted(name))),
});
