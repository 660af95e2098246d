// Regular expressions of strangers: one with a repetition inside a repetition can take longer than anyone lives.
import type { Json } from "./json.js";

/** Patterns with such repetitions that are known to be harmless, because what repeats begins with another character. */
const harmless = new Set([
  // K-EXAONE
  String.raw`(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?(?:\p{L}\p{M}*(?: \p{L}\p{M}*)*)+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n/]?|\s*[\r\n]|\s+(?!\S)|\s+`,
]);

const MAX_LENGTH = 5000;
const MAX_DEPTH = 64;

/** @throws `E_TOKENIZER` */
export function refuseSlowPatterns(json: Json, depth = 0): void {
  if (depth > MAX_DEPTH) throw json.error(`Settings are nested more than ${MAX_DEPTH} levels deep.`);
  for (const part of ["normalizer", "pre_tokenizer", "decoder"]) walk(json.get(part), depth);
}

function walk(json: Json, depth: number): void {
  if (depth > MAX_DEPTH) throw json.error(`Settings are nested more than ${MAX_DEPTH} levels deep.`);
  if (json.list !== undefined) for (const item of json.list) walk(item, depth + 1);
  else if (typeof json.value === "object" && json.value !== null)
    for (const [key, value] of json.entries())
      if (key === "Regex" && value.string !== undefined) {
        if (isSlow(value.string))
          throw value.error(
            "The regular expression repeats a repetition, and may take for ever.",
            "If the tokenizer is to be trusted, name a pre-tokenizer that splits texts alike: --pre-tokenizer <name>.",
          );
      } else walk(value, depth + 1);
}

/** Whether a group that repeats without end holds another repetition without end, or alternatives. */
function isSlow(pattern: string): boolean {
  if (harmless.has(pattern)) return false;
  if (pattern.length > MAX_LENGTH) return true;
  /** Of each open group, whether what it holds makes repeating it dangerous. */
  const open: boolean[] = [false];
  const endless = (at: number): boolean => /^(?:[*+]|\{\d*,\})/.test(pattern.slice(at, at + 16));
  let classDepth = 0;
  for (let i = 0; i < pattern.length; i++) {
    const character = pattern[i];
    if (character === "\\") i++;
    else if (character === "[") classDepth++;
    else if (character === "]") classDepth = Math.max(0, classDepth - 1);
    else if (classDepth > 0) continue;
    else if (character === "(") open.push(false);
    else if (character === "|") open[open.length - 1] = true;
    else if (character === ")") {
      const dangerous = open.length > 1 ? open.pop()! : false;
      if (dangerous && endless(i + 1)) return true;
      if (dangerous || endless(i + 1)) open[open.length - 1] = true;
      continue;
    }
    if (character !== "(" && endless(i + 1)) open[open.length - 1] = true;
  }
  return false;
}
