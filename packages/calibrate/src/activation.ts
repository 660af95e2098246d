import type { Activation } from "@fewbit/core";

/** Fewer input vectors of one micro-batch than these are left out, as llama-imatrix does. */
const LEAST_VECTORS = 16;

/** Whether llama-imatrix would collect the input of a product. */
export function isCollected(
  {
    weight,
    experts,
    vectors,
  }: { readonly weight: string; readonly experts: number; readonly vectors: number },
  output: boolean,
): boolean {
  if (experts > 1) return true;
  return vectors >= LEAST_VECTORS && (weight.startsWith("blk.") || (output && weight === "output.weight"));
}

/**
 * Which input vectors meet each matrix of the weight, in the order in which llama-imatrix adds them: with experts, the
 * first choice of all tokens, then the second.
 *
 * @returns for each expert, or each matrix of a weight without experts, numbers of input vectors
 */
export function vectorsOf(activation: Activation): number[][] {
  const { columns, values, experts, chosen, used = 1, vectors = 1, matrices = 1, run = 1 } = activation;
  const of = Array.from({ length: experts * matrices }, (): number[] => []);
  if (chosen === undefined)
    for (let i = 0; i < values.length / columns; i++) of[Math.floor(i / run) % matrices]!.push(i);
  else
    for (let choice = 0; choice < used; choice++)
      for (let token = 0; token < chosen.length / used; token++)
        of[chosen[token * used + choice]!]!.push(token * vectors + (choice % vectors));
  return of;
}
