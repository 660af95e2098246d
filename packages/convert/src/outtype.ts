// Recipes that change nothing but the type of the weights, as llama.cpp's converter does by itself.
import { extent, floatTypes, type MetadataEntry, type Model, type Recipe } from "@fewbit/core";
import { alwaysFloat32 } from "./precision.js";

/** The types that a converted file may be written in, and llama.cpp's numbers of such files. */
export const outtypes: ReadonlyMap<string, number> = new Map([
  ["F32", 0],
  ["F16", 1],
  ["Q8_0", 7],
  ["BF16", 32],
]);

/** Of files whose experts are MXFP4. */
const MXFP4_FILE = 38;

/** The half that a model's matrices are stored in; undefined where they are not. */
const storedHalf = (model: Model): string | undefined =>
  model.tensors.find(({ shape, dtype }) => shape.length >= 2 && (dtype === "BF16" || dtype === "F16"))?.dtype;

/** What `auto` stands for: the half that a model is stored in, or F16. */
export const autoOuttype = (model: Model): string => storedHalf(model) ?? "F16";

/** What a model is stored as. */
export const storedOuttype = (model: Model): string => storedHalf(model) ?? "F32";

/**
 * Every weight in one type, but for those that are always float32; what cannot be of that type is F16. The order of
 * tensors is the model's.
 *
 * @param type one of `outtypes`
 */
export const outtypeRecipe = (type: string): Recipe => ({
  id: type,
  summary: `Every matrix as ${type}.`,
  base: type,
  assign: (model) =>
    model.tensors.map(({ name, shape, dtype }) =>
      alwaysFloat32(name, shape)
        ? { tensor: name, scheme: "keep", reason: "llama.cpp computes with it in F32" }
        : floatTypes.has(dtype)
          ? {
              tensor: name,
              scheme: type,
              instead: type === "Q8_0" ? ["F16"] : [],
              reason: `${type} throughout`,
            }
          : { tensor: name, scheme: "keep", reason: `the checkpoint has it as ${dtype}` },
    ),
  metadata: (model) => withFileType(model.metadata, fileTypeOf(model, type)),
});

/** @param type one of `outtypes` */
export function fileTypeOf(model: Model, type: string): number {
  const packed = model.tensors.some(({ dtype, shape }) => dtype === "MXFP4" && extent(shape).matrices > 1);
  return packed && type !== "Q8_0" ? MXFP4_FILE : outtypes.get(type)!;
}

const withFileType = (metadata: readonly MetadataEntry[], fileType: number): MetadataEntry[] =>
  metadata.map((entry) => (entry.key === "general.file_type" ? { ...entry, value: fileType } : entry));
