// Trains byte pair encoding on a few texts: merges that real texts make use of.

export interface Trained {
  readonly merges: readonly (readonly [string, string])[];
  /** What merges are made of, and make. */
  readonly tokens: readonly string[];
}

/** @param texts each a list of symbols, within which pairs are merged */
export function train(texts: readonly (readonly string[])[], count: number): Trained {
  let words = texts.map((symbols) => [...symbols]);
  const tokens = new Set(words.flat());
  const merges: (readonly [string, string])[] = [];
  while (merges.length < count) {
    const counts = new Map<string, number>();
    for (const word of words)
      for (let i = 1; i < word.length; i++) {
        const pair = `${word[i - 1]}\n${word[i]}`;
        counts.set(pair, (counts.get(pair) ?? 0) + 1);
      }
    const best = [...counts].reduce((a, b) => (b[1] > a[1] ? b : a), ["", 1]);
    if (best[1] < 2) break;
    const [left, right] = best[0].split("\n") as [string, string];
    merges.push([left, right]);
    tokens.add(left + right);
    words = words.map((word) => merge(word, left, right));
  }
  return { merges, tokens: [...tokens] };
}

function merge(word: readonly string[], left: string, right: string): string[] {
  const merged: string[] = [];
  for (let i = 0; i < word.length; i++)
    if (word[i] === left && word[i + 1] === right) {
      merged.push(left + right);
      i++;
    } else merged.push(word[i]!);
  return merged;
}
