// Phi-3 and Phi-4-mini: as Llama, with queries, keys and values in one matrix, gate and up in another.
import type { Config } from "@fewbit/core";
import { attend } from "../attention.js";
import { add, type Batch, map, multiply } from "../batch.js";
import type { Decoder } from "../decoder.js";
import { activationOf } from "../feed-forward.js";
import { apart, dense } from "../linear.js";
import { rmsNorm } from "../norm.js";
import { ropeOf, rotate } from "../rope.js";
import { headsOf } from "../self-attention.js";
import type { Weights } from "../weights.js";

export function phi3(w: Weights, config: Config, longest: number): Decoder {
  const { heads, kvHeads, head } = headsOf(config);
  const epsilon = config.number("rms_norm_eps");
  const feed = config.number("intermediate_size");
  const rope = ropeOf(config, head, longest);
  const act = activationOf(config.string("hidden_act", "silu"));
  const window = config.number("sliding_window", 0) || undefined;
  const norm = async (x: Batch, name: string): Promise<Batch> => rmsNorm(x, await w.vector(name), epsilon);
  return {
    embedding: "model.embed_tokens.weight",
    layers: config.number("num_hidden_layers"),
    async layer(x, index, texts) {
      const p = `model.layers.${index}.`;
      const all = await dense(w, await norm(x, `${p}input_layernorm.weight`), `${p}self_attn.qkv_proj`);
      const [q, k, v] = apart(all, [heads * head, kvHeads * head, kvHeads * head]) as [Batch, Batch, Batch];
      const attended = attend(rotate(q, head, rope, texts), rotate(k, head, rope, texts), v, texts, {
        heads,
        kvHeads,
        head,
        scale: head ** -0.5,
        window,
      });
      const middle = add(x, await dense(w, attended, `${p}self_attn.o_proj`));
      const both = await dense(
        w,
        await norm(middle, `${p}post_attention_layernorm.weight`),
        `${p}mlp.gate_up_proj`,
      );
      const [gate, up] = apart(both, [feed, feed]) as [Batch, Batch];
      return add(middle, await dense(w, multiply(map(gate, act), up), `${p}mlp.down_proj`));
    },
    end: (x) => norm(x, "model.norm.weight"),
    output: "lm_head.weight",
  };
}
