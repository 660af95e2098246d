// What flows through a forward pass: one vector for each token, of one or more texts side by side.

/** `values` holds `width` numbers for each token, one token after another. */
export interface Batch {
  readonly tokens: number;
  readonly width: number;
  /** Double precision, so that what differs from an engine's single precision is the engine's rounding. */
  readonly values: Float64Array;
}

/** Which tokens are a text of their own: they see each other, and no token of another text. */
export interface Text {
  /** Index of its first token in the batch, which has position 0. */
  readonly first: number;
  readonly tokens: number;
}

export const emptyBatch = (tokens: number, width: number): Batch => ({
  tokens,
  width,
  values: new Float64Array(tokens * width),
});

/** The vector of one token. */
export const vectorOf = ({ width, values }: Batch, token: number): Float64Array =>
  values.subarray(token * width, (token + 1) * width);

export const add = (a: Batch, b: Batch): Batch => ({
  ...a,
  values: a.values.map((value, i) => value + b.values[i]!),
});

export const multiply = (a: Batch, b: Batch): Batch => ({
  ...a,
  values: a.values.map((value, i) => value * b.values[i]!),
});

export const map = (a: Batch, of: (value: number) => number): Batch => ({ ...a, values: a.values.map(of) });

/** The vectors of some tokens, in the order given. */
export function pick(a: Batch, tokens: readonly number[]): Batch {
  const out = emptyBatch(tokens.length, a.width);
  for (const [i, token] of tokens.entries()) vectorOf(out, i).set(vectorOf(a, token));
  return out;
}
