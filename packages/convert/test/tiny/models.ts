// One tiny model for each architecture, with every key that a real config.json of it has.
import type { Tiny, TinyTensor } from "./checkpoint.js";
import { byteLevel, type Files, type Specials, sentencePiece, wordPiece } from "./tokenizer.js";

const VOCABULARY = 344;
const HIDDEN = 64;
const HEADS = 4;
const KV_HEADS = 2;
const HEAD = HIDDEN / HEADS;
const FEED = 96;
const LAYERS = 2;

const matrix = (name: string, rows: number, columns: number): TinyTensor => ({
  name,
  shape: [rows, columns],
});
const embedding = (name: string, rows = VOCABULARY, columns = HIDDEN): TinyTensor => ({
  name,
  shape: [rows, columns],
  spread: 1,
});
/** Weights of a norm, about one. */
const norm = (name: string, size = HIDDEN): TinyTensor => ({ name, shape: [size], mean: 1, spread: 0.2 });
/** Weights of a norm that adds one to them. */
const zeroNorm = (name: string, size = HIDDEN): TinyTensor => ({ name, shape: [size], spread: 0.2 });
const bias = (name: string, size: number): TinyTensor => ({ name, shape: [size], spread: 0.3 });

const layers = (count: number, of: (prefix: string, layer: number) => TinyTensor[]): TinyTensor[] =>
  Array.from({ length: count }, (_, i) => of(`model.layers.${i}.`, i)).flat();

interface Attention {
  readonly heads?: number;
  readonly kvHeads?: number;
  readonly head?: number;
  readonly hidden?: number;
  readonly biases?: readonly ("q" | "k" | "v" | "o")[];
}

function attention(
  prefix: string,
  { heads = HEADS, kvHeads = KV_HEADS, head = HEAD, hidden = HIDDEN, biases = [] }: Attention = {},
): TinyTensor[] {
  const sizes = { q: heads * head, k: kvHeads * head, v: kvHeads * head, o: hidden };
  return (["q", "k", "v", "o"] as const).flatMap((each) => [
    matrix(`${prefix}self_attn.${each}_proj.weight`, sizes[each], each === "o" ? heads * head : hidden),
    ...(biases.includes(each) ? [bias(`${prefix}self_attn.${each}_proj.bias`, sizes[each])] : []),
  ]);
}

const gated = (prefix: string, feed = FEED, hidden = HIDDEN): TinyTensor[] => [
  matrix(`${prefix}gate_proj.weight`, feed, hidden),
  matrix(`${prefix}up_proj.weight`, feed, hidden),
  matrix(`${prefix}down_proj.weight`, hidden, feed),
];

/** Embedding, layers, last norm and, unless it is the embedding, the output. */
const decoder = (
  body: readonly TinyTensor[],
  {
    tied = false,
    last = norm("model.norm.weight"),
  }: { readonly tied?: boolean; readonly last?: TinyTensor } = {},
): TinyTensor[] => [
  ...(tied ? [] : [matrix("lm_head.weight", VOCABULARY, HIDDEN)]),
  embedding("model.embed_tokens.weight"),
  ...body,
  last,
];

const usual = {
  attention_dropout: 0.0,
  hidden_act: "silu",
  hidden_size: HIDDEN,
  initializer_range: 0.02,
  intermediate_size: FEED,
  max_position_embeddings: 2048,
  num_attention_heads: HEADS,
  num_hidden_layers: LAYERS,
  num_key_value_heads: KV_HEADS,
  rms_norm_eps: 1e-6,
  rope_theta: 10000.0,
  tie_word_embeddings: false,
  torch_dtype: "bfloat16",
  transformers_version: "4.51.3",
  use_cache: true,
  vocab_size: VOCABULARY,
};

const SENTENCE: Specials = { tokens: ["<unk>", "<s>", "</s>"], bos: "<s>", eos: "</s>", unk: "<unk>" };
const GEMMA: Specials = {
  tokens: ["<pad>", "<eos>", "<bos>", "<unk>"],
  bos: "<bos>",
  eos: "<eos>",
  pad: "<pad>",
  unk: "<unk>",
};
const TEXT: Specials = { tokens: ["<|endoftext|>"], bos: "<|endoftext|>", eos: "<|endoftext|>" };
const CHAT: Specials = {
  tokens: ["<|endoftext|>", "<|im_start|>", "<|im_end|>"],
  eos: "<|im_end|>",
  pad: "<|endoftext|>",
};

const llamaLayer = (p: string, more: Attention = {}): TinyTensor[] => [
  norm(`${p}input_layernorm.weight`),
  ...attention(p, more),
  norm(`${p}post_attention_layernorm.weight`),
  ...gated(`${p}mlp.`),
];

const llama2: Tiny = {
  name: "llama-2",
  config: {
    ...usual,
    architectures: ["LlamaForCausalLM"],
    model_type: "llama",
    attention_bias: false,
    mlp_bias: false,
    bos_token_id: 1,
    eos_token_id: 2,
    num_key_value_heads: HEADS,
    pretraining_tp: 1,
    rms_norm_eps: 1e-5,
    rope_scaling: null,
    torch_dtype: "float16",
  },
  tensors: decoder(layers(LAYERS, (p) => llamaLayer(p, { kvHeads: HEADS }))).map((tensor) => ({
    ...tensor,
    dtype: "F16",
  })),
  files: sentencePiece(SENTENCE, "LlamaTokenizer"),
};

const llama3: Tiny = {
  name: "llama-3",
  config: {
    ...usual,
    architectures: ["LlamaForCausalLM"],
    model_type: "llama",
    attention_bias: false,
    mlp_bias: false,
    bos_token_id: 276,
    eos_token_id: [277, 278],
    head_dim: 32,
    pretraining_tp: 1,
    rms_norm_eps: 1e-5,
    rope_theta: 500000.0,
    rope_scaling: {
      factor: 32.0,
      low_freq_factor: 1.0,
      high_freq_factor: 4.0,
      original_max_position_embeddings: 32,
      rope_type: "llama3",
    },
    tie_word_embeddings: true,
  },
  tensors: decoder(
    layers(LAYERS, (p) => llamaLayer(p, { head: 32 })),
    { tied: true },
  ),
  files: byteLevel("llama-bpe", {
    tokens: ["<|begin_of_text|>", "<|end_of_text|>", "<|eot_id|>"],
    bos: "<|begin_of_text|>",
    eos: "<|eot_id|>",
  }),
};

const mistral: Tiny = {
  name: "mistral",
  config: {
    ...usual,
    architectures: ["MistralForCausalLM"],
    model_type: "mistral",
    bos_token_id: 1,
    eos_token_id: 2,
    head_dim: HEAD,
    rms_norm_eps: 1e-5,
    sliding_window: null,
    rope_theta: 1000000.0,
  },
  tensors: decoder(layers(LAYERS, (p) => llamaLayer(p))),
  files: sentencePiece(SENTENCE, "LlamaTokenizer"),
};

const EXPERTS = 4;

const mixtral: Tiny = {
  name: "mixtral",
  config: {
    ...usual,
    architectures: ["MixtralForCausalLM"],
    model_type: "mixtral",
    bos_token_id: 1,
    eos_token_id: 2,
    num_experts_per_tok: 2,
    num_local_experts: EXPERTS,
    output_router_logits: false,
    rms_norm_eps: 1e-5,
    rope_theta: 1000000.0,
    router_aux_loss_coef: 0.02,
    sliding_window: null,
  },
  tensors: decoder(
    layers(LAYERS, (p) => [
      norm(`${p}input_layernorm.weight`),
      ...attention(p),
      norm(`${p}post_attention_layernorm.weight`),
      matrix(`${p}block_sparse_moe.gate.weight`, EXPERTS, HIDDEN),
      ...Array.from({ length: EXPERTS }, (_, expert) => {
        const e = `${p}block_sparse_moe.experts.${expert}.`;
        return [
          matrix(`${e}w1.weight`, FEED, HIDDEN),
          matrix(`${e}w2.weight`, HIDDEN, FEED),
          matrix(`${e}w3.weight`, FEED, HIDDEN),
        ];
      }).flat(),
    ]),
  ),
  files: sentencePiece(SENTENCE, "LlamaTokenizer"),
  shards: 3,
};

/** The names that experts have in one tensor for all, as newer versions of the library keep them. */
const stacked = (p: string, feed: number): TinyTensor[] => [
  { name: `${p}experts.gate_up_proj`, shape: [EXPERTS, 2 * feed, HIDDEN] },
  { name: `${p}experts.down_proj`, shape: [EXPERTS, HIDDEN, feed] },
];

const separate = (p: string, feed: number): TinyTensor[] =>
  Array.from({ length: EXPERTS }, (_, expert) => gated(`${p}experts.${expert}.`, feed)).flat();

const mixtralStacked: Tiny = {
  ...mixtral,
  name: "mixtral-stacked",
  tensors: decoder(
    layers(LAYERS, (p) => [
      norm(`${p}input_layernorm.weight`),
      ...attention(p),
      norm(`${p}post_attention_layernorm.weight`),
      matrix(`${p}mlp.gate.weight`, EXPERTS, HIDDEN),
      ...stacked(`${p}mlp.`, FEED),
    ]),
  ),
};

const qwen2: Tiny = {
  name: "qwen2",
  config: {
    ...usual,
    architectures: ["Qwen2ForCausalLM"],
    model_type: "qwen2",
    bos_token_id: 276,
    eos_token_id: 278,
    max_window_layers: LAYERS,
    rope_theta: 1000000.0,
    sliding_window: 32768,
    tie_word_embeddings: true,
    use_sliding_window: false,
  },
  tensors: decoder(
    layers(LAYERS, (p) => llamaLayer(p, { biases: ["q", "k", "v"] })),
    { tied: true },
  ),
  files: byteLevel("qwen2", CHAT),
};

const MOE_FEED = 48;

const qwen2Moe: Tiny = {
  name: "qwen2-moe",
  config: {
    ...usual,
    architectures: ["Qwen2MoeForCausalLM"],
    model_type: "qwen2_moe",
    bos_token_id: 276,
    eos_token_id: 276,
    decoder_sparse_step: 1,
    max_window_layers: LAYERS,
    mlp_only_layers: [],
    moe_intermediate_size: MOE_FEED,
    norm_topk_prob: false,
    num_experts: EXPERTS,
    num_experts_per_tok: 2,
    num_key_value_heads: HEADS,
    output_router_logits: false,
    rope_theta: 1000000.0,
    router_aux_loss_coef: 0.001,
    shared_expert_intermediate_size: FEED,
    sliding_window: 32768,
    use_sliding_window: false,
  },
  tensors: decoder(
    layers(LAYERS, (p) => [
      norm(`${p}input_layernorm.weight`),
      ...attention(p, { kvHeads: HEADS, biases: ["q", "k", "v"] }),
      norm(`${p}post_attention_layernorm.weight`),
      matrix(`${p}mlp.gate.weight`, EXPERTS, HIDDEN),
      ...separate(`${p}mlp.`, MOE_FEED),
      ...gated(`${p}mlp.shared_expert.`),
      matrix(`${p}mlp.shared_expert_gate.weight`, 1, HIDDEN),
    ]),
  ),
  files: byteLevel("qwen2", CHAT),
};

const qwen3: Tiny = {
  name: "qwen3",
  config: {
    ...usual,
    architectures: ["Qwen3ForCausalLM"],
    model_type: "qwen3",
    attention_bias: false,
    bos_token_id: 276,
    eos_token_id: 278,
    head_dim: 32,
    max_window_layers: LAYERS,
    rope_scaling: null,
    rope_theta: 1000000,
    sliding_window: null,
    tie_word_embeddings: true,
    use_sliding_window: false,
  },
  tensors: decoder(
    layers(LAYERS, (p) => [
      ...llamaLayer(p, { head: 32 }),
      norm(`${p}self_attn.q_norm.weight`, 32),
      norm(`${p}self_attn.k_norm.weight`, 32),
    ]),
    { tied: true },
  ),
  files: byteLevel("qwen2", CHAT),
};

const qwen3MoeLayer = (p: string, experts: readonly TinyTensor[]): TinyTensor[] => [
  norm(`${p}input_layernorm.weight`),
  ...attention(p, { head: 32 }),
  norm(`${p}self_attn.q_norm.weight`, 32),
  norm(`${p}self_attn.k_norm.weight`, 32),
  norm(`${p}post_attention_layernorm.weight`),
  matrix(`${p}mlp.gate.weight`, EXPERTS, HIDDEN),
  ...experts,
];

const qwen3Moe: Tiny = {
  name: "qwen3-moe",
  config: {
    ...usual,
    architectures: ["Qwen3MoeForCausalLM"],
    model_type: "qwen3_moe",
    attention_bias: false,
    bos_token_id: 276,
    eos_token_id: 278,
    decoder_sparse_step: 1,
    head_dim: 32,
    max_window_layers: LAYERS,
    mlp_only_layers: [],
    moe_intermediate_size: MOE_FEED,
    norm_topk_prob: true,
    num_experts: EXPERTS,
    num_experts_per_tok: 2,
    output_router_logits: false,
    rope_scaling: null,
    rope_theta: 1000000.0,
    router_aux_loss_coef: 0.001,
    sliding_window: null,
    use_sliding_window: false,
  },
  tensors: decoder(layers(LAYERS, (p) => qwen3MoeLayer(p, separate(`${p}mlp.`, MOE_FEED)))),
  files: byteLevel("qwen2", CHAT),
};

const qwen3MoeStacked: Tiny = {
  ...qwen3Moe,
  name: "qwen3-moe-stacked",
  tensors: decoder(layers(LAYERS, (p) => qwen3MoeLayer(p, stacked(`${p}mlp.`, MOE_FEED)))),
};

const gemmaLayer = (p: string, head: number, more: readonly TinyTensor[] = []): TinyTensor[] => [
  zeroNorm(`${p}input_layernorm.weight`),
  ...attention(p, { head }),
  ...more,
  zeroNorm(`${p}post_attention_layernorm.weight`),
  zeroNorm(`${p}pre_feedforward_layernorm.weight`),
  ...gated(`${p}mlp.`),
  zeroNorm(`${p}post_feedforward_layernorm.weight`),
];

const gemma2: Tiny = {
  name: "gemma-2",
  config: {
    ...usual,
    architectures: ["Gemma2ForCausalLM"],
    model_type: "gemma2",
    attention_bias: false,
    attn_logit_softcapping: 50.0,
    bos_token_id: 2,
    cache_implementation: "hybrid",
    eos_token_id: 1,
    final_logit_softcapping: 30.0,
    head_dim: 32,
    hidden_act: "gelu_pytorch_tanh",
    hidden_activation: "gelu_pytorch_tanh",
    pad_token_id: 0,
    query_pre_attn_scalar: 32,
    sliding_window: 8,
    tie_word_embeddings: true,
  },
  tensors: decoder(
    layers(LAYERS, (p) => gemmaLayer(p, 32)),
    { tied: true, last: zeroNorm("model.norm.weight") },
  ),
  files: sentencePiece(GEMMA, "GemmaTokenizer"),
};

const GEMMA3_LAYERS = 7;

const gemma3Norms = (p: string): TinyTensor[] => [
  zeroNorm(`${p}self_attn.q_norm.weight`, 32),
  zeroNorm(`${p}self_attn.k_norm.weight`, 32),
];

const gemma3Text = {
  ...usual,
  attention_bias: false,
  attn_logit_softcapping: null,
  cache_implementation: "hybrid",
  final_logit_softcapping: null,
  head_dim: 32,
  hidden_activation: "gelu_pytorch_tanh",
  num_hidden_layers: GEMMA3_LAYERS,
  query_pre_attn_scalar: 32,
  rope_local_base_freq: 10000,
  rope_scaling: null,
  rope_theta: 1000000,
  sliding_window: 8,
  sliding_window_pattern: 6,
  tie_word_embeddings: true,
};

const gemma3Tensors = (): TinyTensor[] =>
  decoder(
    layers(GEMMA3_LAYERS, (p) => gemmaLayer(p, 32, gemma3Norms(p))),
    { tied: true, last: zeroNorm("model.norm.weight") },
  );

const gemma3: Tiny = {
  name: "gemma-3",
  config: {
    ...gemma3Text,
    architectures: ["Gemma3ForCausalLM"],
    model_type: "gemma3_text",
    bos_token_id: 2,
    eos_token_id: [1, 3],
    pad_token_id: 0,
  },
  tensors: gemma3Tensors(),
  files: sentencePiece(GEMMA, "GemmaTokenizer"),
};

const gemma3Vision: Tiny = {
  name: "gemma-3-vision",
  config: {
    architectures: ["Gemma3ForConditionalGeneration"],
    model_type: "gemma3",
    boi_token_index: 255999,
    eoi_token_index: 256000,
    eos_token_id: [1, 3],
    image_token_index: 262144,
    initializer_range: 0.02,
    mm_tokens_per_image: 256,
    text_config: {
      ...gemma3Text,
      rope_scaling: { factor: 8.0, rope_type: "linear" },
      model_type: "gemma3_text",
    },
    torch_dtype: "bfloat16",
    transformers_version: "4.50.0",
    vision_config: {
      hidden_size: 32,
      image_size: 56,
      intermediate_size: 64,
      model_type: "siglip_vision_model",
      num_attention_heads: 2,
      num_hidden_layers: 1,
      patch_size: 14,
    },
  },
  tensors: [
    ...gemma3Tensors().map((tensor) => ({ ...tensor, name: `language_model.${tensor.name}` })),
    matrix("multi_modal_projector.mm_input_projection_weight", 32, HIDDEN),
    norm("vision_tower.vision_model.post_layernorm.weight", 32),
  ],
  files: sentencePiece(GEMMA, "GemmaTokenizer"),
};

const phiLayer = (p: string, kvHeads: number): TinyTensor[] => [
  norm(`${p}input_layernorm.weight`),
  matrix(`${p}self_attn.qkv_proj.weight`, (HEADS + 2 * kvHeads) * HEAD, HIDDEN),
  matrix(`${p}self_attn.o_proj.weight`, HIDDEN, HIDDEN),
  norm(`${p}post_attention_layernorm.weight`),
  matrix(`${p}mlp.gate_up_proj.weight`, 2 * FEED, HIDDEN),
  matrix(`${p}mlp.down_proj.weight`, HIDDEN, FEED),
];

const phi = {
  ...usual,
  architectures: ["Phi3ForCausalLM"],
  model_type: "phi3",
  attention_bias: false,
  embd_pdrop: 0.0,
  resid_pdrop: 0.0,
  rms_norm_eps: 1e-5,
};

const PHI: Specials = {
  tokens: ["<unk>", "<s>", "</s>"],
  bos: "<s>",
  eos: "</s>",
  pad: "</s>",
  unk: "<unk>",
};

const phi3: Tiny = {
  name: "phi-3",
  config: {
    ...phi,
    bos_token_id: 1,
    eos_token_id: 2,
    max_position_embeddings: 4096,
    num_key_value_heads: HEADS,
    original_max_position_embeddings: 4096,
    pad_token_id: 2,
    rope_scaling: null,
    sliding_window: 2047,
  },
  tensors: decoder(layers(LAYERS, (p) => phiLayer(p, HEADS))),
  files: sentencePiece(PHI, "LlamaTokenizer"),
};

const factors = (count: number, step: number): number[] =>
  Array.from({ length: count }, (_, i) => Math.round((1 + i * step) * 1000) / 1000);

const phi3Long: Tiny = {
  name: "phi-3-long",
  config: {
    ...phi,
    bos_token_id: 1,
    eos_token_id: 2,
    max_position_embeddings: 512,
    num_key_value_heads: HEADS,
    // So short that the tests' prompts are long.
    original_max_position_embeddings: 16,
    pad_token_id: 2,
    rope_scaling: {
      long_factor: factors(HEAD / 2, 3.7),
      short_factor: factors(HEAD / 2, 0.11),
      type: "longrope",
    },
    sliding_window: 262144,
  },
  tensors: decoder(layers(LAYERS, (p) => phiLayer(p, HEADS))),
  files: sentencePiece(PHI, "LlamaTokenizer"),
};

const phi4Mini: Tiny = {
  name: "phi-4-mini",
  config: {
    ...phi,
    bos_token_id: 276,
    eos_token_id: 276,
    full_attn_mod: 1,
    interpolate_factor: 1,
    lm_head_bias: false,
    max_position_embeddings: 131072,
    mlp_bias: false,
    original_max_position_embeddings: 4096,
    pad_token_id: 276,
    partial_rotary_factor: 0.75,
    rope_scaling: {
      long_factor: factors(6, 4.1),
      short_factor: factors(6, 0.13),
      type: "longrope",
    },
    sliding_window: 262144,
    tie_word_embeddings: true,
  },
  tensors: decoder(
    layers(LAYERS, (p) => phiLayer(p, KV_HEADS)),
    { tied: true },
  ),
  files: byteLevel("gpt-4o", TEXT),
};

const gpt2: Tiny = {
  name: "gpt-2",
  config: {
    activation_function: "gelu_new",
    architectures: ["GPT2LMHeadModel"],
    attn_pdrop: 0.1,
    bos_token_id: 276,
    embd_pdrop: 0.1,
    eos_token_id: 276,
    initializer_range: 0.02,
    layer_norm_epsilon: 1e-5,
    model_type: "gpt2",
    n_ctx: 128,
    n_embd: HIDDEN,
    n_head: HEADS,
    n_layer: LAYERS,
    n_positions: 128,
    resid_pdrop: 0.1,
    summary_activation: null,
    summary_first_dropout: 0.1,
    summary_proj_to_labels: true,
    summary_type: "cls_index",
    summary_use_proj: true,
    task_specific_params: { "text-generation": { do_sample: true, max_length: 50 } },
    vocab_size: 277,
  },
  // The names of the original upload, whose tensors have no "transformer." before them, and its unused masks.
  tensors: [
    embedding("wte.weight", 277),
    { name: "wpe.weight", shape: [128, HIDDEN], spread: 0.5 },
    ...Array.from({ length: LAYERS }, (_, i) => {
      const p = `h.${i}.`;
      return [
        norm(`${p}ln_1.weight`),
        bias(`${p}ln_1.bias`, HIDDEN),
        { name: `${p}attn.bias`, shape: [1, 1, 128, 128], mean: 1, spread: 0 },
        // Inputs by outputs: transposed when compared with other models.
        { name: `${p}attn.c_attn.weight`, shape: [HIDDEN, 3 * HIDDEN], spread: 1 / 8 },
        bias(`${p}attn.c_attn.bias`, 3 * HIDDEN),
        { name: `${p}attn.c_proj.weight`, shape: [HIDDEN, HIDDEN], spread: 1 / 8 },
        bias(`${p}attn.c_proj.bias`, HIDDEN),
        norm(`${p}ln_2.weight`),
        bias(`${p}ln_2.bias`, HIDDEN),
        { name: `${p}mlp.c_fc.weight`, shape: [HIDDEN, 4 * HIDDEN], spread: 1 / 8 },
        bias(`${p}mlp.c_fc.bias`, 4 * HIDDEN),
        { name: `${p}mlp.c_proj.weight`, shape: [4 * HIDDEN, HIDDEN], spread: 1 / 16 },
        bias(`${p}mlp.c_proj.bias`, HIDDEN),
      ];
    }).flat(),
    norm("ln_f.weight"),
    bias("ln_f.bias", HIDDEN),
  ].map((tensor) => ({ ...tensor, dtype: "F32" as const })),
  files: byteLevel("gpt-2", TEXT),
};

const starcoder2: Tiny = {
  name: "starcoder2",
  config: {
    architectures: ["Starcoder2ForCausalLM"],
    attention_dropout: 0.1,
    attention_softmax_in_fp32: true,
    bos_token_id: 276,
    embedding_dropout: 0.1,
    eos_token_id: 276,
    hidden_act: "gelu_pytorch_tanh",
    hidden_size: HIDDEN,
    initializer_range: 0.018042,
    intermediate_size: 4 * HIDDEN,
    layer_norm_epsilon: 1e-5,
    max_position_embeddings: 16384,
    mlp_type: "default",
    model_type: "starcoder2",
    norm_epsilon: 1e-5,
    norm_type: "layer_norm",
    num_attention_heads: HEADS,
    num_hidden_layers: LAYERS,
    num_key_value_heads: KV_HEADS,
    residual_dropout: 0.1,
    rope_theta: 999999.4420358813,
    sliding_window: 4096,
    torch_dtype: "float32",
    transformers_version: "4.37.0.dev0",
    use_bias: true,
    use_cache: true,
    vocab_size: 277,
  },
  tensors: [
    embedding("model.embed_tokens.weight", 277),
    ...layers(LAYERS, (p) => [
      norm(`${p}input_layernorm.weight`),
      bias(`${p}input_layernorm.bias`, HIDDEN),
      ...attention(p, { biases: ["q", "k", "v", "o"] }),
      norm(`${p}post_attention_layernorm.weight`),
      bias(`${p}post_attention_layernorm.bias`, HIDDEN),
      matrix(`${p}mlp.c_fc.weight`, 4 * HIDDEN, HIDDEN),
      bias(`${p}mlp.c_fc.bias`, 4 * HIDDEN),
      matrix(`${p}mlp.c_proj.weight`, HIDDEN, 4 * HIDDEN),
      bias(`${p}mlp.c_proj.bias`, HIDDEN),
    ]),
    norm("model.norm.weight"),
    bias("model.norm.bias", HIDDEN),
  ].map((tensor) => ({ ...tensor, dtype: "F32" as const })),
  files: byteLevel("starcoder", TEXT),
};

const olmo2: Tiny = {
  name: "olmo-2",
  config: {
    ...usual,
    architectures: ["Olmo2ForCausalLM"],
    model_type: "olmo2",
    attention_bias: false,
    eos_token_id: 276,
    num_key_value_heads: HEADS,
    pad_token_id: 276,
    rope_scaling: null,
    rope_theta: 500000,
  },
  tensors: decoder(
    layers(LAYERS, (p) => [
      ...attention(p, { kvHeads: HEADS }),
      norm(`${p}self_attn.q_norm.weight`),
      norm(`${p}self_attn.k_norm.weight`),
      norm(`${p}post_attention_layernorm.weight`),
      ...gated(`${p}mlp.`),
      norm(`${p}post_feedforward_layernorm.weight`),
    ]),
  ),
  files: byteLevel("llama-bpe", TEXT),
};

const GPT_OSS_LAYERS = 4;
const GPT_OSS_FEED = 64;

const gptOssTensors = (experts: (prefix: string) => readonly TinyTensor[]): TinyTensor[] =>
  decoder(
    layers(GPT_OSS_LAYERS, (p) => [
      norm(`${p}input_layernorm.weight`),
      ...attention(p, { head: 32, biases: ["q", "k", "v", "o"] }),
      { name: `${p}self_attn.sinks`, shape: [HEADS], spread: 1 },
      norm(`${p}post_attention_layernorm.weight`),
      matrix(`${p}mlp.router.weight`, EXPERTS, HIDDEN),
      bias(`${p}mlp.router.bias`, EXPERTS),
      ...experts(`${p}mlp.experts.`),
      { name: `${p}mlp.experts.gate_up_proj_bias`, shape: [EXPERTS, 2 * GPT_OSS_FEED], spread: 0.3 },
      { name: `${p}mlp.experts.down_proj_bias`, shape: [EXPERTS, HIDDEN], spread: 0.3 },
    ]),
  );

const gptOss: Tiny = {
  name: "gpt-oss",
  config: {
    architectures: ["GptOssForCausalLM"],
    attention_bias: true,
    attention_dropout: 0.0,
    eos_token_id: 277,
    experts_per_token: 2,
    head_dim: 32,
    hidden_act: "silu",
    hidden_size: HIDDEN,
    initial_context_length: 4096,
    initializer_range: 0.02,
    intermediate_size: GPT_OSS_FEED,
    layer_types: ["sliding_attention", "full_attention", "sliding_attention", "full_attention"],
    max_position_embeddings: 131072,
    model_type: "gpt_oss",
    num_attention_heads: HEADS,
    num_experts_per_tok: 2,
    num_hidden_layers: GPT_OSS_LAYERS,
    num_key_value_heads: KV_HEADS,
    num_local_experts: EXPERTS,
    output_router_logits: false,
    pad_token_id: 276,
    quantization_config: {
      modules_to_not_convert: [
        "model.layers.*.self_attn",
        "model.layers.*.mlp.router",
        "model.embed_tokens",
        "lm_head",
      ],
      quant_method: "mxfp4",
    },
    rms_norm_eps: 1e-5,
    rope_scaling: {
      beta_fast: 32.0,
      beta_slow: 1.0,
      factor: 32.0,
      original_max_position_embeddings: 4096,
      rope_type: "yarn",
      truncate: false,
    },
    rope_theta: 150000,
    router_aux_loss_coef: 0.9,
    sliding_window: 8,
    swiglu_limit: 7.0,
    tie_word_embeddings: false,
    transformers_version: "4.55.0.dev0",
    use_cache: true,
    vocab_size: VOCABULARY,
  },
  tensors: gptOssTensors((e) => [
    ...["gate_up_proj", "down_proj"].flatMap((name): TinyTensor[] => {
      const rows = name === "down_proj" ? HIDDEN : 2 * GPT_OSS_FEED;
      return [
        { name: `${e}${name}_blocks`, shape: [EXPERTS, rows, 2, 16], dtype: "U8" },
        { name: `${e}${name}_scales`, shape: [EXPERTS, rows, 2], dtype: "U8", mean: 123, spread: 3 },
      ];
    }),
  ]),
  files: byteLevel("gpt-4o", {
    tokens: ["<|endoftext|>", "<|return|>", "<|start|>", "<|end|>", "<|message|>"],
    eos: "<|return|>",
    pad: "<|endoftext|>",
  }),
};

/** As it is kept where its experts were trained further: no MXFP4, inputs by outputs. */
const gptOssPlain: Tiny = {
  ...gptOss,
  name: "gpt-oss-plain",
  config: Object.fromEntries(Object.entries(gptOss.config).filter(([key]) => key !== "quantization_config")),
  tensors: gptOssTensors((e) => [
    { name: `${e}gate_up_proj`, shape: [EXPERTS, HIDDEN, 2 * GPT_OSS_FEED] },
    { name: `${e}down_proj`, shape: [EXPERTS, GPT_OSS_FEED, HIDDEN] },
  ]),
};

const bertLayer = (p: string): TinyTensor[] => [
  ...["query", "key", "value"].flatMap((each) => [
    matrix(`${p}attention.self.${each}.weight`, HIDDEN, HIDDEN),
    bias(`${p}attention.self.${each}.bias`, HIDDEN),
  ]),
  matrix(`${p}attention.output.dense.weight`, HIDDEN, HIDDEN),
  bias(`${p}attention.output.dense.bias`, HIDDEN),
  norm(`${p}attention.output.LayerNorm.weight`),
  bias(`${p}attention.output.LayerNorm.bias`, HIDDEN),
  matrix(`${p}intermediate.dense.weight`, FEED, HIDDEN),
  bias(`${p}intermediate.dense.bias`, FEED),
  matrix(`${p}output.dense.weight`, HIDDEN, FEED),
  bias(`${p}output.dense.bias`, HIDDEN),
  norm(`${p}output.LayerNorm.weight`),
  bias(`${p}output.LayerNorm.bias`, HIDDEN),
];

const pooling = (cls: boolean): Files => ({
  "modules.json": JSON.stringify([
    { idx: 0, name: "0", path: "", type: "sentence_transformers.models.Transformer" },
    { idx: 1, name: "1", path: "1_Pooling", type: "sentence_transformers.models.Pooling" },
  ]),
  "1_Pooling/config.json": JSON.stringify({
    word_embedding_dimension: HIDDEN,
    pooling_mode_cls_token: cls,
    pooling_mode_mean_tokens: !cls,
    pooling_mode_max_tokens: false,
    pooling_mode_mean_sqrt_len_tokens: false,
  }),
});

const bert: Tiny = {
  name: "bert",
  config: {
    architectures: ["BertModel"],
    attention_probs_dropout_prob: 0.1,
    classifier_dropout: null,
    gradient_checkpointing: false,
    hidden_act: "gelu",
    hidden_dropout_prob: 0.1,
    hidden_size: HIDDEN,
    initializer_range: 0.02,
    intermediate_size: FEED,
    layer_norm_eps: 1e-12,
    max_position_embeddings: 128,
    model_type: "bert",
    num_attention_heads: HEADS,
    num_hidden_layers: LAYERS,
    pad_token_id: 0,
    position_embedding_type: "absolute",
    transformers_version: "4.8.2",
    type_vocab_size: 2,
    use_cache: true,
    vocab_size: 97,
  },
  tensors: [
    { name: "embeddings.position_embeddings.weight", shape: [128, HIDDEN], spread: 0.5 },
    { name: "embeddings.token_type_embeddings.weight", shape: [2, HIDDEN], spread: 0.5 },
    embedding("embeddings.word_embeddings.weight", 97),
    norm("embeddings.LayerNorm.weight"),
    bias("embeddings.LayerNorm.bias", HIDDEN),
    ...Array.from({ length: LAYERS }, (_, i) => bertLayer(`encoder.layer.${i}.`)).flat(),
    matrix("pooler.dense.weight", HIDDEN, HIDDEN),
    bias("pooler.dense.bias", HIDDEN),
  ].map((tensor) => ({ ...tensor, dtype: "F32" as const })),
  files: { ...wordPiece(), ...pooling(false) },
};

/** As a masked language model is stored: everything under "bert.", and a head that embeddings do not need. */
const bertMasked: Tiny = {
  name: "bert-masked",
  config: { ...bert.config, architectures: ["BertForMaskedLM"] },
  tensors: [
    ...bert.tensors.map((tensor) => ({ ...tensor, name: `bert.${tensor.name}` })),
    bias("cls.predictions.bias", 97),
    matrix("cls.predictions.transform.dense.weight", HIDDEN, HIDDEN),
  ],
  files: { ...wordPiece(), ...pooling(true) },
};

/** Positions 0 and 1 belong to padding. */
const roberta: Tiny = {
  name: "roberta",
  config: {
    ...bert.config,
    architectures: ["RobertaModel"],
    bos_token_id: 276,
    eos_token_id: 278,
    layer_norm_eps: 1e-5,
    max_position_embeddings: 130,
    model_type: "roberta",
    pad_token_id: 1,
    type_vocab_size: 1,
    vocab_size: 280,
  },
  tensors: [
    { name: "embeddings.position_embeddings.weight", shape: [130, HIDDEN], spread: 0.5 },
    { name: "embeddings.token_type_embeddings.weight", shape: [1, HIDDEN], spread: 0.5 },
    embedding("embeddings.word_embeddings.weight", 280),
    ...bert.tensors.slice(3),
  ],
  files: {
    ...byteLevel("gpt-2", {
      tokens: ["<s>", "<pad>", "</s>", "<unk>"],
      bos: "<s>",
      eos: "</s>",
      pad: "<pad>",
      unk: "<unk>",
    }),
    ...pooling(false),
  },
};

const distilBert: Tiny = {
  name: "distilbert",
  config: {
    activation: "gelu",
    architectures: ["DistilBertForMaskedLM"],
    attention_dropout: 0.1,
    dim: HIDDEN,
    dropout: 0.1,
    hidden_dim: FEED,
    initializer_range: 0.02,
    max_position_embeddings: 128,
    model_type: "distilbert",
    n_heads: HEADS,
    n_layers: LAYERS,
    pad_token_id: 0,
    sinusoidal_pos_embds: false,
    tie_weights_: true,
    vocab_size: 97,
  },
  tensors: [
    { name: "embeddings.position_embeddings.weight", shape: [128, HIDDEN], spread: 0.5 },
    embedding("embeddings.word_embeddings.weight", 97),
    norm("embeddings.LayerNorm.weight"),
    bias("embeddings.LayerNorm.bias", HIDDEN),
    ...Array.from({ length: LAYERS }, (_, i) => {
      const p = `transformer.layer.${i}.`;
      const both = (name: string, rows: number, columns: number): TinyTensor[] => [
        matrix(`${p}${name}.weight`, rows, columns),
        bias(`${p}${name}.bias`, rows),
      ];
      return [
        ...["q_lin", "k_lin", "v_lin", "out_lin"].flatMap((each) =>
          both(`attention.${each}`, HIDDEN, HIDDEN),
        ),
        norm(`${p}sa_layer_norm.weight`),
        bias(`${p}sa_layer_norm.bias`, HIDDEN),
        ...both("ffn.lin1", FEED, HIDDEN),
        ...both("ffn.lin2", HIDDEN, FEED),
        norm(`${p}output_layer_norm.weight`),
        bias(`${p}output_layer_norm.bias`, HIDDEN),
      ];
    }).flat(),
  ]
    .map((tensor): TinyTensor => ({ ...tensor, name: `distilbert.${tensor.name}`, dtype: "F32" }))
    .concat([bias("vocab_layer_norm.bias", HIDDEN), matrix("vocab_transform.weight", HIDDEN, HIDDEN)]),
  files: wordPiece(),
};

/** As models for embeddings are stored. */
const qwen3Embedding: Tiny = {
  ...qwen3,
  name: "qwen3-embedding",
  config: { ...qwen3.config, architectures: ["Qwen3Model"], tie_word_embeddings: false },
  tensors: qwen3.tensors.map((tensor) => ({ ...tensor, name: tensor.name.replace(/^model\./, "") })),
  files: { ...qwen3.files, ...pooling(true) },
};

/** Which layers slide is told one by one. */
const gemma3Layers: Tiny = {
  ...gemma3,
  name: "gemma-3-layers",
  config: {
    ...gemma3.config,
    sliding_window_pattern: null,
    layer_types: Array.from({ length: GEMMA3_LAYERS }, (_, i) =>
      i % 3 === 1 ? "full_attention" : "sliding_attention",
    ),
  },
};

/** Models that llama.cpp runs, and its converter does not make. */
export const variants: readonly Tiny[] = [mixtralStacked, gemma3Layers, qwen3Embedding];

export const models: readonly Tiny[] = [
  llama2,
  llama3,
  mistral,
  mixtral,
  qwen2,
  qwen2Moe,
  qwen3,
  qwen3Moe,
  qwen3MoeStacked,
  gemma2,
  gemma3,
  gemma3Vision,
  phi3,
  phi3Long,
  phi4Mini,
  gpt2,
  starcoder2,
  olmo2,
  gptOss,
  gptOssPlain,
  bert,
  bertMasked,
  roberta,
  distilBert,
];
