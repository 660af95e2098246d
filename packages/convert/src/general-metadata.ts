// Who made a model, from what, under which terms: the `general.*` entries, from the model card, the configuration and
// the name. Keys, types and order are those of llama.cpp's converter.
import type { MetadataEntry } from "@fewbit/core";
import type { ModelCard } from "./model-card.js";
import { type ModelId, parseModelId, sizeLabel, titleOf, type Weights } from "./model-id.js";

export interface GeneralSources {
  readonly card: ModelCard;
  /** generation_config.json. */
  readonly generation: ReadonlyMap<string, unknown>;
  /** `_name_or_path` of config.json. */
  readonly nameOrPath?: string;
  /** Of the checkpoint's folder, or its address on a hub. */
  readonly name: string;
  /** Whether `name` is an address, which says more than any file. */
  readonly isAddress: boolean;
  readonly weights: Weights;
}

/** Recommended settings of a sampler: key, GGUF's type, and names in generation_config.json. */
const sampling: readonly (readonly [key: string, type: "string" | "i32" | "f32", ...names: string[]])[] = [
  ["sequence", "string", "sequence"],
  ["top_k", "i32", "top_k"],
  ["top_p", "f32", "top_p"],
  ["min_p", "f32", "min_p"],
  ["xtc_probability", "f32", "xtc_probability"],
  ["xtc_threshold", "f32", "xtc_threshold"],
  ["temp", "f32", "temperature"],
  ["penalty_last_n", "i32", "penalty_last_n"],
  ["penalty_repeat", "f32", "penalty_repeat", "repetition_penalty"],
  ["mirostat", "i32", "mirostat"],
  ["mirostat_tau", "f32", "mirostat_tau"],
  ["mirostat_eta", "f32", "mirostat_eta"],
];

/** Texts about the model itself: key, and names in the card. */
const texts: readonly (readonly [key: string, ...names: string[]])[] = [
  ["name", "name", "model_name"],
  ["author", "author", "model_author", "model_creator"],
  ["version", "version", "model_version"],
  ["organization", "organization", "model_organization"],
  ["finetune", "finetune", "model_finetune"],
  ["basename", "basename", "model_basename", "model_type"],
  ["description", "description", "model_description"],
  ["size_label", "size_label", "model_size_label"],
  ["license", "license"],
  ["license.name", "license_name"],
  ["license.link", "license_link"],
  ["source.url", "url", "model_url"],
  ["source.doi", "doi", "model_doi"],
  ["source.uuid", "uuid", "model_uuid"],
  ["source.repo_url", "repo_url", "model_repo_url"],
];

/** What is said of a model that this one comes from, and of a data set. */
const ancestry = [
  "name",
  "author",
  "version",
  "organization",
  "description",
  "url",
  "doi",
  "uuid",
  "repo_url",
] as const;

/** Of the models and data sets that a card names, no more are told: each takes several entries. */
const MAX_ANCESTORS = 1000;

/** `general.type` and all that follows it up to the entries of the architecture. */
export function generalMetadata(sources: GeneralSources): MetadataEntry[] {
  const card = sources.card.entries;
  const found = new Map<string, string>();
  for (const [key, ...names] of texts) {
    const text = names.map((name) => textOf(card.get(name))).find((each) => each !== undefined);
    if (text !== undefined) found.set(key, text);
  }
  if (sources.isAddress) found.set("name", sources.name);
  // A path of somebody's machine is no name.
  for (const id of [sources.nameOrPath, sources.name])
    if (id !== undefined && id !== "" && id.split("/").length <= 2)
      for (const [key, text] of namedBy(parseModelId(id, sources.weights.total)))
        if (!found.has(key)) found.set(key, text);
  if (!found.has("name")) found.set("name", sources.name);
  if (!found.has("size_label") && sources.weights.total > 0)
    found.set("size_label", sizeLabel(sources.weights));

  const list = (...names: string[]): string[] => names.flatMap((name) => listOf(card.get(name)));
  const related = (...names: string[]): unknown[] => {
    const name = names.find((each) => card.has(each));
    const value = name === undefined ? undefined : card.get(name);
    return Array.isArray(value) ? value : value === undefined || value === null ? [] : [value];
  };
  return [
    { key: "general.type", type: "string", value: "model" },
    ...samplingEntries(sources.generation),
    ...texts.flatMap(([key]) => entry(`general.${key}`, found.get(key))),
    ...ancestors("base_model", related("base_model", "base_models", "base_model_sources"), sources.weights),
    ...ancestors("dataset", related("datasets", "dataset", "dataset_sources"), sources.weights),
    ...array("general.tags", list("tags", "pipeline_tag")),
    ...array("general.languages", list("languages", "language")),
  ];
}

const entry = (key: string, value: string | undefined): MetadataEntry[] =>
  value === undefined || value === "" ? [] : [{ key, type: "string", value }];

const array = (key: string, value: readonly string[]): MetadataEntry[] =>
  value.length === 0 ? [] : [{ key, type: "array<string>", value }];

/** A scalar as text; licences may be a list. */
function textOf(value: unknown): string | undefined {
  if (Array.isArray(value)) return value.map(textOf).join(",");
  return typeof value === "string" || typeof value === "number" || typeof value === "boolean"
    ? String(value)
    : undefined;
}

const listOf = (value: unknown): string[] =>
  (Array.isArray(value) ? value : [value]).map(textOf).filter((text) => text !== undefined);

function* namedBy(id: ModelId): Generator<readonly [key: string, text: string]> {
  yield ["name", titleOf(id.name)];
  if (id.organization !== undefined) yield ["organization", titleOf(id.organization)];
  if (id.basename !== undefined) yield ["basename", id.basename];
  if (id.finetune !== undefined) yield ["finetune", id.finetune];
  if (id.version !== undefined) yield ["version", id.version];
  if (id.sizeLabel !== undefined) yield ["size_label", id.sizeLabel];
}

function samplingEntries(generation: ReadonlyMap<string, unknown>): MetadataEntry[] {
  return sampling.flatMap(([key, type, ...names]) => {
    const value = names.map((name) => generation.get(name) ?? undefined).find((each) => each !== undefined);
    const fits =
      type === "string"
        ? typeof value === "string" && value !== ""
        : type === "i32"
          ? Number.isInteger(value) && Math.abs(value as number) < 2 ** 31
          : typeof value === "number" && Number.isFinite(value);
    return fits ? [{ key: `general.sampling.${key}`, type, value }] : [];
  });
}

function ancestors(
  kind: "base_model" | "dataset",
  named: readonly unknown[],
  weights: Weights,
): MetadataEntry[] {
  if (named.length === 0) return [];
  const given = named.slice(0, MAX_ANCESTORS);
  return [
    { key: `general.${kind}.count`, type: "u32", value: given.length },
    ...given.flatMap((each, i) => {
      const facts =
        each instanceof Map ? (each as ReadonlyMap<string, unknown>) : factsOf(textOf(each) ?? "", weights);
      return ancestry.flatMap((key) => entry(`general.${kind}.${i}.${key}`, textOf(facts.get(key))));
    }),
  ];
}

/** Of an address, or of a name on the hub. */
function factsOf(id: string, weights: Weights): ReadonlyMap<string, string> {
  const facts = new Map<string, string>();
  const isUrl = /^(https?|ssh):\/\//.test(id);
  const onHub = isUrl ? /^https?:\/\/huggingface.co\/([^/]+\/[^/]+)$/.exec(id)?.[1] : id;
  if (isUrl) facts.set("repo_url", id);
  if (onHub === undefined) return facts;
  const { name, organization, version } = parseModelId(onHub, weights.total);
  facts.set("name", titleOf(name));
  if (organization !== undefined) {
    facts.set("organization", titleOf(organization));
    if (!isUrl) facts.set("repo_url", `https://huggingface.co/${organization}/${name}`);
  }
  if (version !== undefined) facts.set("version", version);
  return facts;
}
