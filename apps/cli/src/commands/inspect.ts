import type { Locator, MetadataEntry, Model } from "@fewbit/core";
import { nameOf } from "@fewbit/core";
import { openModel } from "@fewbit/core/node";
import type { Command } from "commander";
import {
  countWeights,
  escapeControls,
  formatBits,
  formatBytes,
  formatCount,
  formatShape,
  formatValue,
  table,
} from "../render.js";
import {
  type CommonOptions,
  examples,
  openSession,
  type Surroundings,
  withCommonOptions,
} from "../session.js";

export function addInspect(program: Command, world: Surroundings): void {
  withCommonOptions(program.command("inspect"))
    .description("Show what a model file holds: metadata, tensors, types, sizes. Reads no weights.")
    .argument(
      "<model>",
      "a file, the folder of a checkpoint, an http(s) address that answers range requests, or hf://organisation/model",
    )
    .addHelpText(
      "after",
      examples(
        "fewbit inspect model-Q4_K_M.gguf",
        "fewbit inspect model.safetensors",
        "fewbit inspect path/to/checkpoint",
        "fewbit inspect https://example.org/model-Q4_K_M.gguf",
        "fewbit inspect hf://Qwen/Qwen3-0.6B",
        "fewbit inspect model.gguf --json",
      ),
    )
    .action(async (path: string, options: CommonOptions) => {
      const session = openSession(world, options);
      const model = await session.stoppable(openModel(path, await session.registry(path)));
      for (const warning of model.warnings) session.note(`warning: ${escapeControls(warning)}`);
      if (session.json) session.document(toDocument(model));
      else session.print(toText(model));
    });
}

interface TypeTotal {
  readonly dtype: string;
  readonly tensors: number;
  readonly weights: number;
  readonly bytes: number;
}

/** In the order in which the types occur. */
function totals(model: Model): TypeTotal[] {
  const types = new Map<string, { tensors: number; weights: number; bytes: number }>();
  for (const tensor of model.tensors) {
    const type = types.get(tensor.dtype) ?? { tensors: 0, weights: 0, bytes: 0 };
    type.tensors++;
    type.weights += countWeights(tensor.shape);
    type.bytes += tensor.bytes;
    types.set(tensor.dtype, type);
  }
  return [...types].map(([dtype, total]) => ({ dtype, ...total }));
}

const sum = (totals: readonly TypeTotal[], pick: (total: TypeTotal) => number): number =>
  totals.reduce((all, total) => all + pick(total), 0);

function toText(model: Model): string {
  const types = totals(model);
  const weights = sum(types, (type) => type.weights);
  const bytes = sum(types, (type) => type.bytes);
  const head = [
    ...model.files.map((file) => escapeControls(nameOf(file))),
    `${model.format}, ${model.tensors.length} tensors, ${formatCount(weights)} weights, ${formatBytes(bytes)}, ` +
      `${formatBits(bytes, weights)} bits per weight`,
  ];
  const metadata = table(
    [{ title: "KEY" }, { title: "TYPE" }, { title: "VALUE" }],
    // formatValue has escaped already; a second time changes nothing, for an escape holds no control character.
    model.metadata.map((entry) => [entry.key, entry.type, formatValue(entry.value, entry.type)]),
  );
  const tensors = table(
    [
      { title: "TENSOR" },
      { title: "SHAPE" },
      { title: "TYPE" },
      { title: "SIZE", align: "right" },
      { title: "BITS PER WEIGHT", align: "right" },
      ...(model.files.length > 1 ? [{ title: "FILE", align: "right" as const }] : []),
    ],
    model.tensors.map((tensor) => [
      tensor.name,
      formatShape(tensor.shape),
      tensor.dtype,
      formatBytes(tensor.bytes),
      formatBits(tensor.bytes, countWeights(tensor.shape)),
      ...(model.files.length > 1 ? [String(tensor.file + 1)] : []),
    ]),
  );
  const sizes = table(
    [
      { title: "TYPE" },
      { title: "TENSORS", align: "right" },
      { title: "WEIGHTS", align: "right" },
      { title: "SIZE", align: "right" },
      { title: "BITS PER WEIGHT", align: "right" },
    ],
    types.map((type) => [
      type.dtype,
      String(type.tensors),
      formatCount(type.weights),
      formatBytes(type.bytes),
      formatBits(type.bytes, type.weights),
    ]),
  );
  return [head.join("\n"), metadata, tensors, sizes].join("\n\n");
}

function toDocument(model: Model) {
  const types = totals(model);
  const weights = sum(types, (type) => type.weights);
  const bytes = sum(types, (type) => type.bytes);
  return {
    format: model.format,
    files: model.files.map((file: Locator) => nameOf(file)),
    weights,
    bytes,
    bitsPerWeight: weights === 0 ? null : (bytes * 8) / weights,
    types,
    // A list of pairs, not an object: keys such as "__proto__" are data here.
    metadata: model.metadata.map(({ key, type, value }: MetadataEntry) => ({ key, type, value })),
    tensors: model.tensors.map((tensor) => ({
      name: tensor.name,
      shape: tensor.shape,
      dtype: tensor.dtype,
      file: tensor.file,
      offset: tensor.offset,
      bytes: tensor.bytes,
    })),
    warnings: model.warnings,
  };
}
