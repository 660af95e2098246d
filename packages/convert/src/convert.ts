import {
  type Architecture,
  FewbitError,
  isFewbitError,
  type Locator,
  locate,
  type MetadataEntry,
  type Model,
  type Registry,
  type TensorInfo,
} from "@fewbit/core";
import { type Checkpoint, readRequired } from "./checkpoint.js";
import { commonMetadata } from "./common-metadata.js";
import { readConfig } from "./config.js";
import { generalMetadata } from "./general-metadata.js";
import { parseJson } from "./json.js";
import { readModelCard } from "./model-card.js";
import { countWeights } from "./model-id.js";
import { fileTypeOf, storedOuttype } from "./outtype.js";
import { poolingMetadata } from "./pooling.js";
import { type MappedTensor, mapTensors } from "./tensors.js";
import { tokenizerMetadata } from "./tokenizer/index.js";

/** ggml's version of the quantized types' layouts. */
const QUANTIZATION_VERSION = 2;

/** What a checkpoint does not say by itself. */
export interface ConvertOptions {
  /** A pre-tokenizer of llama.cpp by its name, such as `llama-bpe`, instead of the one that is found. */
  readonly preTokenizer?: string;
}

/**
 * A checkpoint as the GGUF file that llama.cpp's converter would make of it, without a byte of it written: names,
 * shapes and metadata, and tensors that are read from the checkpoint where they are the same, or computed from it.
 * Matrices have the type that they are stored in.
 *
 * @throws `E_CHECKPOINT` where files, settings or tensors are missing or contradict each other; `E_ARCHITECTURE`,
 *   `E_TOKENIZER`, `E_PRETOKENIZER`
 */
export async function convert(
  checkpoint: Checkpoint,
  registry: Registry,
  options: ConvertOptions = {},
): Promise<Model> {
  const { files, model, name } = checkpoint;
  const settings = await readRequired(files, "config.json");
  const path = files.path("config.json");
  const bare = readConfig(settings, path);
  const [className] = bare.strings("architectures");
  if (className === undefined)
    throw bare.error("architectures", "config.json does not say which architecture the model has.");
  const architecture = architectureOf(className, registry, path);
  const config = readConfig(settings, path, architecture.defaults);

  const mapped = mapTensors(model, architecture, config);
  const card = readModelCard(await files.read("README.md"));
  const draft = layOut(model, mapped);
  const fileType = fileTypeOf(draft, storedOuttype(draft));
  const common = commonMetadata(architecture.id, config, fileType);
  const tokenizer = await tokenizerMetadata(files, config, { ...options, architecture: architecture.id });
  refuseVocabulary(draft, tokenizer.vocabulary, path);
  return {
    ...draft,
    metadata: overwriting([
      { key: "general.architecture", type: "string", value: architecture.id },
      ...generalMetadata({
        card,
        generation: await readGeneration(checkpoint),
        ...(bare.has("_name_or_path") ? { nameOrPath: bare.string("_name_or_path") } : {}),
        name,
        isAddress: name.includes("/"),
        weights: countWeights(draft.tensors),
      }),
      ...(architecture.metadata?.(config, common) ?? common),
      ...(await poolingMetadata(files, architecture.id)),
      { key: "general.quantization_version", type: "u32", value: QUANTIZATION_VERSION },
      ...(architecture.tokenizer?.(config, tokenizer.entries) ?? tokenizer.entries),
    ]),
    warnings: [
      ...model.warnings,
      ...(card.warning === undefined ? [] : [card.warning]),
      ...tokenizer.warnings,
    ],
  };
}

function architectureOf(className: string, registry: Registry, file: string): Architecture {
  try {
    return registry.architecture(className).value;
  } catch (thrown) {
    throw isFewbitError(thrown) ? locate(thrown, { file }) : thrown;
  }
}

/** Programs that run the file look up each token's row. */
function refuseVocabulary({ tensors }: Model, tokens: number, file: string): void {
  const rows = tensors.find(({ name }) => name === "token_embd.weight")?.shape[0];
  if (rows === undefined || rows === tokens) return;
  throw new FewbitError(
    "E_CHECKPOINT",
    `The tokenizer has ${tokens} tokens and the model embeddings for ${rows}.`,
    { file, key: "vocab_size" },
    "The tokenizer belongs to another model: download all files from the same place.",
  );
}

/** Computed tensors have an entry of their own among the files, so that a job carries no more than it needs. */
function layOut({ files: stored }: Model, mapped: readonly MappedTensor[]): Model {
  const files: Locator[] = [...stored];
  const numbers = new Map(stored.map((file, i) => [file, i]));
  const tensors = mapped.map(({ name, view }): TensorInfo => {
    const { dtype, shape, bytes } = view;
    if (view.op === "stored")
      return { name, dtype, shape, bytes, file: numbers.get(view.from)!, offset: view.offset };
    files.push({ kind: "view", view });
    return { name, dtype, shape, bytes, file: files.length - 1, offset: 0 };
  });
  return { format: "gguf", metadata: [], tensors, files, warnings: [] };
}

/** Of entries with one key, the last counts, in the place of the first. */
const overwriting = (entries: readonly MetadataEntry[]): MetadataEntry[] => [
  ...new Map(entries.map((entry) => [entry.key, entry])).values(),
];

/** Hints only: a file that cannot be understood is as good as none. */
async function readGeneration({ files }: Checkpoint): Promise<ReadonlyMap<string, unknown>> {
  const bytes = await files.read("generation_config.json");
  if (bytes === undefined) return new Map();
  try {
    const value = parseJson(bytes, files.path("generation_config.json"));
    return new Map(typeof value === "object" && value !== null ? Object.entries(value) : []);
  } catch {
    return new Map();
  }
}
