/** Endings of weights that llama.cpp computes with in float32 only. */
const FLOAT32 = [
  "_norm.weight",
  ".ffn_gate_inp.weight",
  ".ffn_gate_inp_shexp.weight",
  "position_embd.weight",
  "token_types.weight",
];

/** Whether a tensor of a GGUF file is float32 whatever the others are: vectors, and what is small and delicate. */
export const alwaysFloat32 = (name: string, shape: readonly number[]): boolean =>
  shape.length <= 1 || !name.endsWith(".weight") || FLOAT32.some((end) => name.endsWith(end));
