// Where a tensor stands in a model, from its name alone: GGUF's `blk.3.ffn_down.weight` and checkpoints'
// `model.layers.3.mlp.down_proj.weight` are read by one rule, and so is whatever numbers its layers.

/** The number of the layer, absent outside of layers, and what the tensor is for in it. */
export interface Place {
  readonly layer?: number;
  readonly role: string;
}

export function placeOf(name: string): Place {
  const layered = /^(.*?)\.(\d{1,5})\.(.+)$/.exec(name);
  const bare = (text: string): string => text.replace(/\.weight$/, "");
  if (layered === null) return { role: bare(name) };
  const [, before, layer, after] = layered;
  // Towers beside the language model number their layers as well.
  const tower = /^(blk|model\.layers|layers|transformer\.h|h)$/.test(before!) ? "" : `${before}.`;
  return { layer: Number(layer), role: tower + bare(after!) };
}

/** The order in which a token meets them. */
const order = [
  /embd|embed|wte/,
  /attn_norm|input_layernorm/,
  /attn_qkv|qkv_proj/,
  /attn_q|q_proj/,
  /attn_k|k_proj/,
  /attn_v|v_proj/,
  /attn_out|o_proj/,
  /attn/,
  /ssm|time_mix/,
  /ffn_gate_inp|router/,
  /ffn_norm|post_attention_layernorm/,
  /ffn_gate|gate_proj/,
  /ffn_up|up_proj/,
  /ffn_down|down_proj/,
  /ffn/,
];

/** Roles from the input of a model to its output; those that are unknown keep their order, before the output. */
export function sortRoles(roles: readonly string[]): string[] {
  const rank = (role: string): number => {
    const found = order.findIndex((pattern) => pattern.test(role));
    return found < 0 ? order.length + Number(/^output|lm_head/.test(role)) : found;
  };
  return [...roles].sort((a, b) => rank(a) - rank(b));
}
