// GPT-2: learned positions, norms about the mean, and matrices that are stored inputs by outputs.
import type { Config } from "@fewbit/core";
import { attend } from "../attention.js";
import { add, type Batch, map } from "../batch.js";
import type { Decoder } from "../decoder.js";
import { activationOf } from "../feed-forward.js";
import { apart, biasOf, linear, transpose } from "../linear.js";
import { layerNorm } from "../norm.js";
import type { Weights } from "../weights.js";

export function gpt2(w: Weights, config: Config): Decoder {
  const base = w.has("transformer.wte.weight") ? "transformer." : "";
  const heads = config.number("n_head");
  const width = config.number("n_embd");
  const epsilon = config.number("layer_norm_epsilon");
  const act = activationOf(config.string("activation_function", "gelu_new"));
  const norm = async (x: Batch, name: string): Promise<Batch> =>
    layerNorm(x, await w.vector(`${name}.weight`), await biasOf(w, name), epsilon);
  const dense = async (x: Batch, name: string): Promise<Batch> =>
    linear(x, transpose(await w.matrix(`${name}.weight`)), await biasOf(w, name));
  return {
    embedding: `${base}wte.weight`,
    layers: config.number("n_layer"),
    async begin(x, texts) {
      const out = { ...x, values: x.values.slice() };
      for (const { first, tokens } of texts) {
        const { values } = await w.matrix(`${base}wpe.weight`, 0, tokens);
        for (let at = 0; at < values.length; at++) out.values[first * width + at]! += values[at]!;
      }
      return out;
    },
    async layer(x, index, texts) {
      const p = `${base}h.${index}.`;
      const all = await dense(await norm(x, `${p}ln_1`), `${p}attn.c_attn`);
      const [q, k, v] = apart(all, [width, width, width]) as [Batch, Batch, Batch];
      const head = width / heads;
      const attended = attend(q, k, v, texts, { heads, kvHeads: heads, head, scale: head ** -0.5 });
      const middle = add(x, await dense(attended, `${p}attn.c_proj`));
      const fed = map(await dense(await norm(middle, `${p}ln_2`), `${p}mlp.c_fc`), act);
      return add(middle, await dense(fed, `${p}mlp.c_proj`));
    },
    end: (x) => norm(x, `${base}ln_f`),
    output: "lm_head.weight",
  };
}
