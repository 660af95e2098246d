// A checkpoint of a small llama as the transformers library lays it out, written through the product's own writer.
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { shardNames, writeIndex, writer } from "@fewbit/format-safetensors";
import { bfloat16, float32, weights } from "./model.js";

const HIDDEN = 256;
const FEED = 512;
const VOCABULARY = 300;

export const config = {
  architectures: ["LlamaForCausalLM"],
  model_type: "llama",
  hidden_size: HIDDEN,
  intermediate_size: FEED,
  max_position_embeddings: 128,
  num_attention_heads: 4,
  num_hidden_layers: 2,
  num_key_value_heads: 2,
  rms_norm_eps: 1e-5,
  rope_theta: 10000,
  tie_word_embeddings: false,
  vocab_size: VOCABULARY,
};

const hex = (byte: number): string => `<0x${byte.toString(16).toUpperCase().padStart(2, "0")}>`;
const specials = ["<unk>", "<s>", "</s>"];
const vocabulary = [
  ...specials,
  ...Array.from({ length: 256 }, (_, byte) => hex(byte)),
  "▁",
  ..."abcdefghijklmnopqrstuvwxyz",
];

const tokenizer = {
  added_tokens: specials.map((content, id) => ({ id, content, special: true, normalized: false })),
  normalizer: {
    type: "Sequence",
    normalizers: [
      { type: "Prepend", prepend: "▁" },
      { type: "Replace", pattern: { String: " " }, content: "▁" },
    ],
  },
  pre_tokenizer: null,
  decoder: {
    type: "Sequence",
    decoders: [{ type: "Replace", pattern: { String: "▁" }, content: " " }, { type: "ByteFallback" }],
  },
  model: {
    type: "BPE",
    unk_token: "<unk>",
    fuse_unk: true,
    byte_fallback: true,
    vocab: Object.fromEntries(vocabulary.map((token, id) => [token, id])),
    merges: [],
  },
};

export const files: Readonly<Record<string, string>> = {
  "tokenizer.json": JSON.stringify(tokenizer),
  "tokenizer_config.json": JSON.stringify({
    tokenizer_class: "LlamaTokenizer",
    bos_token: "<s>",
    eos_token: "</s>",
    unk_token: "<unk>",
    add_bos_token: true,
  }),
  "README.md": "---\nlicense: mit\n---\n",
};

const layer = (i: number): (readonly [name: string, shape: number[]])[] =>
  (
    [
      ["input_layernorm.weight", [HIDDEN]],
      ["mlp.down_proj.weight", [HIDDEN, FEED]],
      ["mlp.gate_proj.weight", [FEED, HIDDEN]],
      ["mlp.up_proj.weight", [FEED, HIDDEN]],
      ["post_attention_layernorm.weight", [HIDDEN]],
      ["self_attn.k_proj.weight", [HIDDEN / 2, HIDDEN]],
      ["self_attn.o_proj.weight", [HIDDEN, HIDDEN]],
      ["self_attn.q_proj.weight", [HIDDEN, HIDDEN]],
      ["self_attn.v_proj.weight", [HIDDEN / 2, HIDDEN]],
    ] as const
  ).map(([name, shape]) => [`model.layers.${i}.${name}`, [...shape]]);

export const tensors: readonly (readonly [name: string, shape: number[]])[] = [
  ["lm_head.weight", [VOCABULARY, HIDDEN]],
  ["model.embed_tokens.weight", [VOCABULARY, HIDDEN]],
  ...layer(0),
  ...layer(1),
  ["model.norm.weight", [HIDDEN]],
];

export interface CheckpointOptions {
  /** 1 when absent. */
  readonly shards?: number;
  /** BF16 when absent. */
  readonly dtype?: "BF16" | "F32";
  /** Changes to config.json. */
  readonly config?: object;
  /** Content of other files; undefined for one that is missing. */
  readonly files?: Readonly<Record<string, string | undefined>>;
  /** Changes weights of a tensor, or leaves it out by returning false. */
  readonly edit?: (name: string, values: Float32Array) => undefined | false;
}

/** Without `edit` the weights are the same for any number of shards. */
export function writeCheckpoint(folder: string, options: CheckpointOptions = {}): void {
  const { shards = 1, dtype = "BF16" } = options;
  mkdirSync(folder, { recursive: true });
  const texts = {
    "config.json": JSON.stringify({ ...config, ...options.config }),
    ...files,
    ...options.files,
  };
  for (const [name, text] of Object.entries(texts))
    if (text !== undefined) writeFileSync(join(folder, name), text);

  const content = new Map<string, Uint8Array>();
  const written = tensors.filter(([name, shape], seed) => {
    const values = weights(
      shape.reduce((a, b) => a * b, 1),
      seed + 1,
    );
    if (options.edit?.(name, values) === false) return false;
    content.set(name, dtype === "F32" ? float32(values) : bfloat16(values));
    return true;
  });
  const draft = {
    metadata: [{ key: "format", type: "string", value: "pt" }],
    files: shards,
    tensors: written.map(([name, shape], i) => ({
      name,
      dtype,
      shape,
      parts: [{ name: "", dtype, shape, bytes: content.get(name)!.length, per: "row" as const }],
      file: Math.floor((i * shards) / written.length),
    })),
  };
  const names = shards === 1 ? ["model.safetensors"] : shardNames(shards);
  const output = writer.layout(draft);
  for (const [i, { header, size }] of output.files.entries()) {
    const bytes = new Uint8Array(size);
    bytes.set(header);
    for (const { tensor, file, offset } of output.places)
      if (file === i) bytes.set(content.get(tensor)!, offset);
    writeFileSync(join(folder, names[i]!), bytes);
  }
  if (shards > 1) writeFileSync(join(folder, "model.safetensors.index.json"), writeIndex(draft, names));
}
