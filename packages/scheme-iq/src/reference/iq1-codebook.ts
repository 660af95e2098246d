/** Bit n tells whether point n is an entry, n = Σ level j · 3^j. */
const isEntry = Uint8Array.from(
  atob(
    "VSUUhaACQlEIRTGohiCKohoIKiAUhVAUgiBERSUVBaACgiCIGAAIgqADKqCIu6oKkKoLACIACqqMgqAIQFEIRSGIgFAUQlEIijAI" +
      "mKAIgCoIRSEUhSBIQlUIRQEswqAgiiYAKiSoqqII4q8ICCgoAKACQiiqKCCogCAKmwi5uqggyq6Joq6qOnzr6rq7gg64IrrK0w6S" +
      "AiIAIiCoiroKggIIACpK4KI7IiArogCBQIGqiigIIgEUhVAVgiAJRSFUhaAIAiOoOiCEgiBUQlEIoiAIlVAUAioIuKiCgKBIAiAI" +
      "gqJoogIoqyoIhSAIgjAIRUAARSEUhaAAQlEARQEpggCKgioIoTAUBVAUgigIRSEUhSACAiCqKgAgErGKriiouqGqqHAAggoIAigi" +
      "AoQAggBIgKDqsCqqwiCLuiLq2qeLi26okrAqqnKLikQMKiBIhEAoiioIqiDIzKIioq+aoOioAgACACqoiAAggKCLoqIouqCAgjIK" +
      "ur64uv7roqArogiKCijqogChMgIM+qTq3u8rqC6Nvn7r+vd/v+Z9ut5p+yf/vyb6EunhiiIQqr4OhKoIsqgLgq7/uiTpg4AEYixo" +
      "8qgKpCsAAioICOKqEgACgioKpiDJgomQgigAogCMgBMAgggIAGyKqqq7Aqa+iqDKAoBrly7QsukQghAuqt4oFdGlBAAKggCKgiAI" +
      "AaEggqo5uiIyhKAJgBgAiqJiAoEURFEARSGsglAUQlEIqiAoqocKEioIRSEUBaAIQlEIRQEgAqBAoiIAiAAIoghqim64qqqAACAK" +
      "guLIIiEIRFAUQlEJiiAVhVAUhgoIqioqgAAKQlEIRSGoAFAUQlEI4iCIggoYgioIqqKqirCLAgoqqiAogoCqCigIKACpiAIioL4L" +
      "KLgIirpLsq7/uqT4rqogUihotqAw5oAKAigIImpigCAKAqqqK6rqoqmgoggIECCgiiIAgg4ARSEUhaAKQFEIRSGpBgBKqgIIpQAQ" +
      "DUQUgigIRSEUBQAIgoKs8iAAAACqCigKuiDqogIAgkgJKOkUABFLRVEARQGoAlAUQlEIiCQIiCgKQAgARQEUBaACQFEIRQEAAAA=",
  ),
  (c) => c.charCodeAt(0),
);

const levelsOf = (point: number): number[] =>
  Array.from({ length: 8 }, (_, j) => Math.floor(point / 3 ** j) % 3);

const points = Array.from({ length: 3 ** 8 }, (_, n) => n).filter((n) => (isEntry[n >> 3]! >> (n & 7)) & 1);

/** 2048 entries of eight levels 0, 1 or 2, in the order of their points' numbers. */
export const codebook: readonly (readonly number[])[] = points.map(levelsOf);

const entryOf = new Map(points.map((point, entry) => [point, entry]));

/** Entries at the three smallest distances of a point, the nearest first, and by number. */
function candidatesOf(levels: ArrayLike<number>): number[] {
  const shells = Array.from({ length: 8 * 4 + 1 }, (): number[] => []);
  codebook.forEach((entry, i) => {
    let distance = 0;
    for (let j = 0; j < 8; j++) distance += (entry[j]! - levels[j]!) ** 2;
    shells[distance]!.push(i);
  });
  return shells
    .filter((shell) => shell.length > 0)
    .slice(0, 3)
    .flat();
}

const known = new Map<number, number[]>();

/**
 * The entry for eight levels: itself if there is one, else the candidate that costs least, of equal ones the first.
 * @param cost of coordinate `j` at a level
 */
export function nearestEntry(levels: ArrayLike<number>, cost: (j: number, level: number) => number): number {
  let point = 0;
  for (let j = 7; j >= 0; j--) point = 3 * point + levels[j]!;
  const exact = entryOf.get(point);
  if (exact !== undefined) return exact;
  const candidates = known.get(point) ?? candidatesOf(levels);
  known.set(point, candidates);
  let best = Number.POSITIVE_INFINITY;
  let winner = candidates[0]!;
  for (const entry of candidates) {
    let sum = 0;
    for (let j = 0; j < 8; j++) sum = Math.fround(sum + cost(j, codebook[entry]![j]!));
    if (sum < best) {
      best = sum;
      winner = entry;
    }
  }
  return winner;
}
