// Whole files by llama.cpp, to compare headers with: types, order, offsets and metadata all show there.
import { readFileSync, writeFileSync } from "node:fs";
import type { ImportanceMatrix, MetadataEntry, Model, RecipeOptions, TensorInfo } from "@fewbit/core";
import { openFile } from "@fewbit/core/node";
import type { LlamaFtype, OracleFileOptions, OracleProcess } from "../../../tooling/oracle-file.js";
import { applyOverrides } from "../src/metadata.js";
import { pruneLayers } from "../src/prune.js";
import { openGguf } from "../src/reader.js";
import { recipes } from "../src/recipes.js";
import { writer } from "../src/writer.js";
import { alone } from "./build.js";
import { draft, storedTypes } from "./model.js";

/** Writes a model, split as it says, whose weights are all small and different. */
export function writeReference(path: string, model: Model): readonly string[] {
  const { files, places } = writer.layout(draft(model));
  const names = writer.fileNames(path, files.length);
  files.forEach(({ header, size }, file) => {
    const bytes = Buffer.alloc(size);
    bytes.set(header);
    model.tensors.forEach((tensor) => {
      if (tensor.file !== file) return;
      const { offset } = places.find((place) => place.tensor === tensor.name)!;
      bytes.set(weights(tensor), offset);
    });
    writeFileSync(names[file]!, bytes);
  });
  return names;
}

function weights({ dtype, bytes }: TensorInfo): Uint8Array {
  const data = Buffer.alloc(bytes);
  for (let at = 0; at < bytes; at += dtype === "F32" ? 4 : 2)
    if (dtype === "F32") data.writeFloatLE(((at * 37) % 101) / 64 - 0.75, at);
    // F16 between 1 and 2, of both signs.
    else data.writeUInt16LE(0x3c00 | ((at * 37) % 1009) | (((at % 6) << 13) & 0x8000), at);
  return data;
}

export interface Comparison {
  readonly options?: RecipeOptions;
  readonly importance?: ImportanceMatrix;
  readonly overrides?: readonly MetadataEntry[];
  readonly prune?: readonly number[];
}

/** Both headers for one recipe; `undefined` where llama.cpp refuses, with its log. */
export async function headers(oracle: OracleProcess, path: string, id: string, comparison: Comparison) {
  const { options = {}, importance: given, overrides = [], prune = [] } = comparison;
  const opened = await openFile(path);
  const source = await openGguf(opened, alone);
  await opened.close();
  const { model, importance } = pruneLayers(source, prune, given);
  const context = { options, ...(importance === undefined ? {} : { importance }) };
  const recipe = recipes.find((r) => r.id === id)!;
  const types = storedTypes(model, recipe.assign(model, context));
  const at = new Map(model.tensors.map((t) => [t.name, t]));
  const ordered = { ...model, tensors: [...types.keys()].map((name) => at.get(name)!) };
  const metadata = applyOverrides(recipe.metadata!(model, context), overrides);
  const ours = writer.layout(draft(ordered, metadata, (name) => types.get(name)!)).files[0]!;

  const output = `${path}.${id}.out`;
  const request: OracleFileOptions = {
    threads: 1,
    pure: options.pure === true,
    quantizeOutputTensor: options.leaveOutputTensor !== true,
    onlyCopy: id === "COPY",
    ...(given === undefined ? {} : { importance: given.tensors }),
    ...(options.outputTensorType ? { outputTensorType: options.outputTensorType as never } : {}),
    ...(options.tokenEmbeddingType ? { tokenEmbeddingType: options.tokenEmbeddingType as never } : {}),
    tensorTypes: (options.tensorTypes ?? []).map(({ pattern, scheme }) => ({
      pattern,
      type: scheme as never,
    })),
    keyValues: overrides.map(
      ({ key, type, value }): never =>
        ({ key, [{ u32: "int", f32: "float", bool: "bool", string: "string" }[type]!]: value }) as never,
    ),
    pruneLayers: [...prune].sort((a, b) => a - b),
  };
  const ftype = (id === "COPY" ? "F32" : id) as LlamaFtype;
  const { ok, log } = await oracle.quantize(path, output, ftype, request);
  const theirs = ok ? new Uint8Array(readFileSync(output)) : undefined;
  return { ours, theirs, log, types };
}
