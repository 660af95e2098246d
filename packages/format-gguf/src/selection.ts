// Which type each tensor of a model gets: the order of visits, the order of decisions, and what to do with rows that
// a type does not divide. Where llama.cpp would abort, F16 is the last resort.

import type {
  Assignment,
  MetadataEntry,
  Model,
  RecipeContext,
  RecipeOptions,
  TensorInfo,
} from "@fewbit/core";
import { FewbitError, nameOf } from "@fewbit/core";
import { type Facts, metadataMap, readFacts } from "./facts.js";
import type { Choice, Mix, Place } from "./mixes.js";
import { compareBytes, quoted } from "./text.js";
import { BIG_ENDIAN, tensorTypes } from "./types.js";

/** The role of a tensor, by its name; the first that matches. */
type Role =
  | "output"
  | "embedding"
  | "values"
  | "keys"
  | "queries"
  | "attentionOutput"
  | "up"
  | "gate"
  | "down"
  | "other";

const roles: readonly (readonly [part: string, role: Role])[] = [
  ["attn_qkv.weight", "values"],
  ["attn_kv_b.weight", "values"],
  ["attn_v.weight", "values"],
  ["attn_k.weight", "keys"],
  ["attn_q.weight", "queries"],
  ["attn_output.weight", "attentionOutput"],
  ["ffn_up", "up"],
  ["ffn_gate", "gate"],
  ["ffn_down", "down"],
];

const PER_LAYER_EMBEDDING = "per_layer_token_embd.weight";

export function roleOf(name: string): Role {
  if (name === "output.weight") return "output";
  if (name === "token_embd.weight" || name === PER_LAYER_EMBEDDING) return "embedding";
  return roles.find(([part]) => name.includes(part))?.[1] ?? "other";
}

/** Small or delicate tensors that stay as they are, with the reason people are told. */
const protectedParts: readonly (readonly [reason: string, ...parts: string[]])[] = [
  ["normalisation weights are kept", "_norm.weight"],
  ["expert routing is kept", "ffn_gate_inp.weight", "ffn_gate_tid2eid.weight"],
  ["small projections between layers are kept", "altup", "laurel", "per_layer_model_proj"],
  ["small convolutions are kept", "ssm_conv1d", "shortconv.conv.weight"],
  ["small indexer projections are kept", "indexer.k_proj.weight", "indexer.q_proj.weight"],
  [
    "small time-mixing weights are kept",
    ...["first", "w0", "w1", "w2", "v0", "v1", "v2", "a0", "a1", "a2", "g1", "g2"].map(
      (part) => `time_mix_${part}.weight`,
    ),
    ...["decay_w1", "decay_w2", "lerp_fused"].map((part) => `time_mix_${part}.weight`),
  ],
  ["relative positions are kept", "attn_rel_b.weight", ".rel_pos"],
  ["position embeddings are kept", ".position_embd", "sam.pos_embd"],
  ["parts of the vision encoder are kept", "sam.neck.", "sam.net_", ".patch_embd", ".patch_merger"],
  ["codebooks of the audio encoder are kept", "a.rvq.codebook", "mm.a.code_embd"],
];

const protectedNames = new Map([
  ["position_embd.weight", "position embeddings are kept"],
  ["token_types.weight", "token type embeddings are kept"],
]);

/** Why the tensor is never quantized, or undefined where it may be. */
export function protection({ name, shape, dtype }: TensorInfo, options: RecipeOptions): string | undefined {
  if (!shape.slice(0, -1).some((n) => n > 1)) return "vectors are kept";
  if (!name.endsWith("weight")) return "only weights are quantized";
  if (options.leaveOutputTensor === true && name === "output.weight")
    return "the output tensor is left as it is";
  if (/^I(8|16|32|64)$/.test(dtype)) return "integers are kept";
  return (
    protectedNames.get(name) ??
    protectedParts.find(([, ...parts]) => parts.some((part) => name.includes(part)))?.[0]
  );
}

/** What takes the place of a type whose block does not divide the row. */
const substitutes: ReadonlyMap<string, string> = new Map([
  ...["IQ1_S", "IQ1_M", "IQ2_XXS", "IQ2_XS", "IQ2_S", "IQ3_XXS", "IQ3_S", "IQ4_XS"].map(
    (type) => [type, "IQ4_NL"] as const,
  ),
  ...["Q2_0", "Q2_K", "Q3_K", "TQ1_0", "TQ2_0"].map((type) => [type, "Q4_0"] as const),
  ["Q4_K", "Q5_0"],
  ["Q5_K", "Q5_1"],
  ["Q6_K", "Q8_0"],
]);

function insteadOf(scheme: string): readonly string[] | undefined {
  const type = tensorTypes.get(scheme);
  if (type === undefined || type.block === 1) return undefined;
  const substitute = substitutes.get(scheme);
  return substitute === undefined ? ["F16"] : [substitute, "F16"];
}

/** Types that are garbage without an importance matrix; embeddings and the output tensor are never refused. */
const NEEDS_IMPORTANCE: ReadonlySet<string> = new Set([
  "IQ1_S",
  "IQ1_M",
  "IQ2_XXS",
  "IQ2_XS",
  "IQ2_S",
  "IQ3_XXS",
]);

/** By layer, then by the bytes of the name; tensors outside the layers come first. */
function compareVisits(a: TensorInfo, b: TensorInfo): number {
  return visitLayer(a.name) - visitLayer(b.name) || compareBytes(a.name, b.name);
}

const visitLayer = (name: string): number => Number(/^blk\.\s*([+-]?\d+)/.exec(name)?.[1] ?? -1);

/** The order in which llama.cpp visits tensors, and writes them. */
export function visitingOrder(model: Model, keepSplit: boolean): readonly TensorInfo[] {
  const tensors = [...model.tensors].sort(compareVisits);
  // A stable sort: tensors without bytes may share an offset.
  return keepSplit ? tensors.sort((a, b) => a.file - b.file || a.offset - b.offset) : tensors;
}

/** A model some layers of which were taken out; mixes count the layers it had. */
export interface PrunedModel extends Model {
  readonly unpruned: readonly MetadataEntry[];
}

/** The user may write `q4_k`; types of other plugins are passed on as they are. */
const canonical = (id: string): string => (tensorTypes.has(id.toUpperCase()) ? id.toUpperCase() : id);

export const refuseBigEndian = (model: Model): void => {
  const tensor = model.tensors.find(({ dtype }) => dtype.endsWith(BIG_ENDIAN));
  if (tensor !== undefined)
    throw new FewbitError(
      "E_GGUF_VERSION",
      "The file is big-endian: it can be inspected, and nothing else.",
      { file: nameOf(model.files[tensor.file]!), tensor: tensor.name },
      "Convert it to little-endian first, for example with gguf-py's gguf_convert_endian.",
    );
};

/**
 * Assigns a type to every tensor as llama-quantize does. Pure.
 *
 * @throws `E_USAGE` for a pattern that is no regular expression, `E_GGUF_VERSION` for a big-endian model
 */
export function assignMix(mix: Mix, model: Model, { importance, options }: RecipeContext): Assignment[] {
  refuseBigEndian(model);
  const facts = readFacts(metadataMap((model as Partial<PrunedModel>).unpruned ?? model.metadata));
  const patterns = compile(options);
  const rules = new Rules(mix, model, facts, importance !== undefined);

  return visitingOrder(model, options.keepSplit === true).map((tensor): Assignment => {
    const { name } = tensor;
    const kept = protection(tensor, options);
    if (kept !== undefined) return { tensor: name, scheme: "keep", reason: kept };
    const { type, reason } = decide(tensor);
    const instead = insteadOf(type);
    const exempt = roleOf(name) === "embedding" || roleOf(name) === "output";
    const needs = !exempt && (NEEDS_IMPORTANCE.has(type) || mix.needsImportance?.includes(type) === true);
    return {
      tensor: name,
      scheme: type,
      ...(instead === undefined ? {} : { instead }),
      ...(needs ? { importance: "required" as const } : {}),
      reason,
    };
  });

  function decide(tensor: TensorInfo): Choice {
    const role = roleOf(tensor.name);
    const matched = patterns.find(({ pattern }) => pattern.test(tensor.name));
    // The per-layer embedding is a large table of its own: a pattern that names it wins.
    const named = tensor.name === PER_LAYER_EMBEDDING && matched !== undefined;
    if (options.tokenEmbeddingType !== undefined && role === "embedding" && !named)
      return { type: canonical(options.tokenEmbeddingType), reason: "chosen for token embeddings" };
    if (options.outputTensorType !== undefined && role === "output")
      return { type: canonical(options.outputTensorType), reason: "chosen for the output tensor" };
    if (tensorTypes.get(mix.base)?.block === 1) return { type: mix.base, reason: `${mix.base} throughout` };
    if (matched !== undefined) return { type: matched.scheme, reason: `its name matches ${matched.pattern}` };
    if (options.pure === true) return { type: mix.base, reason: "one type for all" };
    return rules.choose(tensor, role, options);
  }
}

function compile(options: RecipeOptions): readonly { pattern: RegExp; scheme: string }[] {
  return (options.tensorTypes ?? []).map(({ pattern, scheme }) => {
    try {
      return { pattern: new RegExp(pattern), scheme: canonical(scheme) };
    } catch (cause) {
      throw new FewbitError(
        "E_USAGE",
        `${quoted(pattern)} is no regular expression: ${(cause as Error).message}.`,
        {},
        "Write a part of a tensor's name, or a regular expression that is searched in it.",
        cause,
      );
    }
  });
}

/** The mix proper. It counts tensors of a role as they are visited, so one instance serves one pass. */
class Rules {
  readonly #mix: Mix;
  readonly #facts: Facts;
  readonly #importance: boolean;
  readonly #tied: boolean;
  readonly #valueTensors: number;
  readonly #visited = { values: 0, down: 0, gate: 0, up: 0 };

  constructor(mix: Mix, model: Model, facts: Facts, importance: boolean) {
    this.#mix = mix;
    this.#facts = facts;
    this.#importance = importance;
    this.#tied = !model.tensors.some(({ name }) => name === "output.weight");
    this.#valueTensors = model.tensors.filter(({ name }) => roleOf(name) === "values").length;
  }

  choose(tensor: TensorInfo, role: Role, options: RecipeOptions): Choice {
    const base = { type: this.#mix.base, reason: `the mix's base type` };
    if (role === "output" || (role === "embedding" && this.#tied)) return this.#output(tensor, role, options);
    if (this.#mix.base === "MXFP4") return this.#mixtureOfExperts(tensor, role);
    switch (role) {
      case "embedding":
        return this.#mix.embedding === undefined
          ? base
          : { type: this.#mix.embedding, reason: "token embeddings are looked up, not multiplied" };
      case "values":
        return this.#values(base);
      case "keys":
        return this.#eightExperts("keys") ?? this.#mix.keys?.(this.#place(0, 0)) ?? base;
      case "queries":
        return this.#mix.queries?.(this.#place(0, 0)) ?? base;
      case "attentionOutput":
        return (
          this.#eightExperts("attentionOutput") ?? this.#mix.attentionOutput?.(this.#place(0, 0)) ?? base
        );
      case "down":
        return this.#mix.down?.(this.#layer(tensor, "down", this.#mix.lowBit === true)) ?? base;
      case "gate":
      case "up":
        return this.#mix.gateUp?.(this.#layer(tensor, role, false)) ?? base;
      default:
        return base;
    }
  }

  #place(index: number, count: number): Place {
    const { headRatio, experts, architecture } = this.#facts;
    return {
      index,
      count,
      headRatio,
      experts,
      falcon: architecture === "falcon",
      importance: this.#importance,
    };
  }

  /** Experts of a layer are not stored one after another, so their layer is read from the name. */
  #layer(tensor: TensorInfo, role: "down" | "gate" | "up", counted: boolean): Place {
    const index = this.#visited[role]++;
    const named = visitLayer(tensor.name);
    const byName = this.#facts.experts > 1 && !counted && named >= 0;
    return this.#place(byName ? named : index, this.#facts.layers);
  }

  #output(tensor: TensorInfo, role: Role, options: RecipeOptions): Choice {
    const what = role === "output" ? "the output tensor" : "the token embedding doubles as output tensor";
    if (options.outputTensorType !== undefined)
      return { type: canonical(options.outputTensorType), reason: `${what}: chosen for the output tensor` };
    const columns = tensor.shape.at(-1) ?? 1;
    const { base, output } = this.#mix;
    const odd = columns % tensorTypes.get(base)!.block !== 0;
    if (this.#facts.architecture === "falcon" || odd)
      return { type: "Q8_0", reason: `${what}, ${odd ? "of unusual width" : "of a Falcon model"}` };
    return { type: output ?? "Q6_K", reason: `${what} is sensitive` };
  }

  #mixtureOfExperts({ name, shape }: TensorInfo, role: Role): Choice {
    const experts = shape.length > 2 && shape.at(-3)! > 1;
    const bailing = this.#facts.architecture === "bailingmoe3" && !["up", "gate", "down"].includes(role);
    return experts && !bailing
      ? { type: "MXFP4", reason: "expert weights" }
      : { type: "Q8_0", reason: name.includes("blk.") ? "everything but experts" : "outside the layers" };
  }

  #values(base: Choice): Choice {
    const choice = this.#mix.values?.(this.#place(this.#visited.values++, this.#valueTensors)) ?? base;
    if (this.#mix.lowBit === true) return choice;
    if (this.#facts.experts === 8) return { type: "Q8_0", reason: "attention is shared by 8 experts" };
    if (this.#facts.is70B && (choice.type === "Q3_K" || choice.type === "Q4_K"))
      return { type: "Q5_K", reason: "attention values of 70B models are small" };
    return choice;
  }

  #eightExperts(role: "keys" | "attentionOutput"): Choice | undefined {
    if (this.#facts.experts !== 8 || this.#mix.lowBit === true) return undefined;
    if (role === "keys") return { type: "Q8_0", reason: "attention is shared by 8 experts" };
    return this.#mix.widerOutputOfEight === true && this.#facts.architecture !== "falcon"
      ? { type: "Q5_K", reason: "attention is shared by 8 experts" }
      : undefined;
  }
}
