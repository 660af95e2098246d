// What a model's name says: base, size, version, what it was tuned for. The rules are those of llama.cpp's converter.

/** A name such as `meta-llama/Llama-3.2-1B-Instruct`, taken apart. */
export interface ModelId {
  readonly name: string;
  readonly organization?: string;
  readonly basename?: string;
  readonly finetune?: string;
  readonly version?: string;
  readonly sizeLabel?: string;
}

type Kind = "basename" | "size" | "finetune" | "version" | "type";

const VERSION = /^(v|iter)?\d+([.]\d+)*$/i;
const TYPE = /^(i?q\d(_\w)*|b?fp?(16|32))$/i;
const SIZE = /^(([A]|\d+[x])?\d+([._]\d+)?[KMBT][\d]?|small|mini|medium|large|x?xl)$/i;
const FINETUNE = /^(chat|instruct|vision|lora)$/i;

/** @param weights how many the model has: a size in the name that is far from it is none. 0 where it is not known */
export function parseModelId(id: string, weights: number): ModelId {
  if (id.includes(" ")) return { name: id };
  const slash = id.indexOf("/");
  const name = id.slice(slash + 1);
  const organization = slash > 0 && !id.startsWith(".") ? id.slice(0, slash) : undefined;

  const parts = name.split("-").filter((part) => part !== "");
  const kinds = parts.map(() => new Set<Kind>());
  for (const [i, part] of parts.entries()) {
    if (VERSION.test(part)) kinds[i]!.add("version");
    else if (TYPE.test(part)) {
      kinds[i]!.add("type");
      parts[i] = part.toUpperCase();
    } else if (i > 0 && SIZE.test(part)) {
      const { text, isSize } = readSize(part, weights);
      parts[i] = text;
      kinds[i]!.add(isSize ? "size" : "finetune");
    } else if (i > 0 && FINETUNE.test(part)) kinds[i]!.add("finetune");
  }

  // "large" says nothing beside "7B".
  if (parts.some((part, i) => kinds[i]!.has("size") && /\d/.test(part)))
    for (const [i, part] of parts.entries()) if (/^\p{L}+$/u.test(part)) kinds[i]!.delete("size");

  let atStart = true;
  for (const [i, part] of parts.entries()) {
    if (atStart && ((kinds[i]!.size === 0 && /^\p{L}/u.test(part)) || kinds[i]!.has("version")))
      kinds[i]!.add("basename");
    else {
      atStart = false;
      if (kinds[i]!.size === 0) kinds[i]!.add("finetune");
    }
  }
  // A version at the end of the base name is none of its parts.
  for (const kind of kinds.toReversed()) {
    if (!kind.has("basename") || kind.size === 1) break;
    kind.delete("basename");
  }

  const joined = (test: (kind: ReadonlySet<Kind>) => boolean): string | undefined =>
    parts.filter((_, i) => test(kinds[i]!)).join("-") || undefined;
  const basename = joined((kind) => kind.has("basename"));
  const finetune = joined((kind) => kind.has("finetune"));
  const version = joined((kind) => kind.has("version") && !kind.has("basename"));
  const sizeLabel = [...new Set(parts.filter((_, i) => kinds[i]!.has("size")))].join("-") || undefined;
  const clear = sizeLabel !== undefined || finetune !== undefined || version !== undefined;
  return {
    name,
    ...(organization === undefined ? {} : { organization }),
    // Of a name in one piece nobody can say what is base and what is not.
    ...(basename === undefined || !clear ? {} : { basename }),
    ...(finetune === undefined ? {} : { finetune }),
    ...(version === undefined ? {} : { version }),
    ...(sizeLabel === undefined ? {} : { sizeLabel }),
  };
}

/** `7b` → 7B; `7b1` → 7.1B. One that is far from the number of weights is the length of a context: `128k`. */
function readSize(part: string, weights: number): { readonly text: string; readonly isSize: boolean } {
  let text = part.replaceAll("_", ".");
  if (/\d$/.test(text)) text = `${text.slice(0, -2)}.${text.at(-1)}${text.at(-2)}`;
  if (/\d[kmbt]$/.test(text)) text = text.slice(0, -1) + text.at(-1)!.toUpperCase();
  const number = /^\d+(\.\d+)?$/.test(text.slice(0, -1)) ? Number(text.slice(0, -1)) : undefined;
  const labelled = (number ?? 0) * 1000 ** " KMBT".indexOf(text.at(-1)!);
  if (weights > 0 && number !== undefined && Math.abs(labelled - weights) > Math.floor((7 * weights) / 8))
    return { text: text.slice(0, -1) + text.at(-1)!.toLowerCase(), isSize: false };
  return { text, isSize: true };
}

/** `tiny-stories-v2` → `Tiny Stories v2`. Words with capitals, versions and numbers stay as they are. */
export const titleOf = (id: string): string =>
  id
    .trim()
    .replaceAll("-", " ")
    .split(/\s+/)
    .filter((word) => word !== "")
    .map((word) => (isLower(word) && !/^(v\d+(?:\.\d+)*|\d.*)$/.test(word) ? titled(word) : word))
    .join(" ");

const isLower = (word: string): boolean => word === word.toLowerCase() && word !== word.toUpperCase();

/** A capital wherever letters begin. */
const titled = (word: string): string =>
  word.replace(/\p{L}+/gu, (letters) => letters[0]!.toUpperCase() + letters.slice(1));

/** Numbers of weights, and of those that every token meets. */
export interface Weights {
  readonly total: number;
  /** Of everything but experts. */
  readonly shared: number;
  /** Of one expert. */
  readonly expert: number;
  /** 0 where there are none. */
  readonly experts: number;
}

/** Counts the tensors of a GGUF file; shapes are row-major. */
export function countWeights(
  tensors: readonly { readonly name: string; readonly shape: readonly number[] }[],
): Weights {
  let [total, shared, expert, sum, kinds] = [0, 0, 0, 0, 0];
  for (const { name, shape } of tensors) {
    const size = shape.reduce((a, b) => a * b, 1);
    total += size;
    const experts = shape.at(name.includes(".bias") ? -2 : -3) ?? 0;
    if (name.includes("_exps.") && shape.length >= 3 && experts > 0) {
      expert += Math.floor(size / experts);
      sum += experts;
      kinds++;
    } else shared += size;
  }
  return { total, shared, expert, experts: kinds === 0 ? 0 : Math.floor(sum / kinds) };
}

/** `656K`, `1.2B`, `8x7B`. */
export function sizeLabel({ total, shared, expert, experts }: Weights): string {
  return experts > 0 ? `${experts}x${rounded(shared + expert)}` : rounded(total);
}

/** Two digits at least. */
function rounded(weights: number): string {
  const [scale, unit] =
    weights > 1e12 ? [1e-12, "T"] : weights > 1e9 ? [1e-9, "B"] : weights > 1e6 ? [1e-6, "M"] : [1e-3, "K"];
  const scaled = weights * scale;
  const whole = String(halfEven(scaled)).replace(/^0+/, "");
  const digits = Math.max(2 - whole.length, 0);
  return (halfEven(scaled * 10 ** digits) / 10 ** digits).toFixed(digits) + unit;
}

/** To the nearest whole number, of two the even one. */
function halfEven(value: number): number {
  const below = Math.floor(value);
  if (value - below !== 0.5) return Math.round(value);
  return below % 2 === 0 ? below : below + 1;
}
