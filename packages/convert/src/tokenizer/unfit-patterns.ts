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
export function refuseUnfitPatterns(root: Json): void {
  for (const part of ["normalizer", "pre_tokenizer", "decoder"]) refuseIn(root.get(part), 0);
}

function refuseIn(step: Json, depth: number): void {
  if (depth > MAX_DEPTH) throw step.error(`Settings are nested more than ${MAX_DEPTH} levels deep.`);
  if (step.list !== undefined) {
    for (const item of step.list) refuseIn(item, depth + 1);
    return;
  }
  if (typeof step.value !== "object" || step.value === null) return;
  if (["Split", "Replace"].includes(step.get("type").string ?? "")) {
    const pattern = step.get("pattern");
    const regex = pattern.get("Regex");
    if (regex.string === undefined && pattern.get("String").string === undefined)
      throw pattern.wrong("a Regex or a String");
    if (regex.string !== undefined && isSlow(regex.string))
      throw regex.error(
        "The regular expression repeats a repetition, and may take for ever.",
        "If the tokenizer is to be trusted, name a pre-tokenizer that splits texts alike: --pre-tokenizer <name>.",
      );
  }
  for (const [, value] of step.entries()) refuseIn(value, depth + 1);
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
