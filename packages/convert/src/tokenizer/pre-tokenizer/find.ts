import { FewbitError } from "@fewbit/core";
import { fuzzCorpus } from "../../check/corpus.js";
import type { Encoder } from "../encoder.js";
import type { Json } from "../json.js";
import { readable, spelled } from "./bytes.js";
import { knownName, PROBE } from "./known.js";
import { type PreTokenizer, preTokenizerNames, preTokenizers } from "./patterns.js";
import { splitter } from "./split.js";

export interface Found {
  readonly name: string;
  /** Whether texts begin with a token, where the pre-tokenizer's own rule is another. */
  readonly addsBos?: boolean;
  readonly warnings: readonly string[];
}

/**
 * The one that users named.
 * @param encoder undefined where the source's own tokenizer cannot be run
 * @throws `E_PRETOKENIZER` where there is none of that name
 */
export function namedPreTokenizer(name: string, encoder: Encoder | undefined): Found {
  if (preTokenizerNames.includes(name)) return { name, ...bosOf(name, encoder), warnings: [] };
  throw new FewbitError(
    "E_PRETOKENIZER",
    `llama.cpp has no pre-tokenizer ${JSON.stringify(name)}.`,
    {},
    `Name one of these: ${preTokenizerNames.join(", ")}.`,
  );
}

/**
 * The pre-tokenizer of llama.cpp that does what the source's does: known by what becomes of one text, or, where
 * that is new, found by comparing how all of them split many texts.
 *
 * @param at where the source describes its own
 * @throws `E_PRETOKENIZER` where none does the same
 */
export async function findPreTokenizer(encoder: Encoder, ignoresMerges: boolean, at: Json): Promise<Found> {
  const known = await knownName(encoder.encode(PROBE));
  if (known !== undefined) return { name: known, ...bosOf(known, encoder), warnings: [] };

  const adapted = adaptedFor(at);
  if (adapted !== undefined)
    return found(
      adapted,
      encoder,
      ignoresMerges,
      `has the patterns for which llama.cpp has ${adapted.names[0]}`,
    );

  const texts = fuzzCorpus({ random: 60 })
    .flatMap((part) => part.texts)
    .filter((text) => text !== "")
    .concat(PROBE)
    .map((text) => encoder.normalize(text));
  const own = texts.map((text) => encoder.split(text));
  const candidates = preTokenizers.map((candidate) => compare(candidate, texts, own));
  const alike =
    pick(
      candidates.filter(({ differing }) => differing === 0),
      ignoresMerges,
    ) ??
    pick(
      candidates.filter(({ words }) => own.every((each, i) => sameTokens(encoder, each, words[i]!))),
      ignoresMerges,
    );
  if (alike === undefined) throw unknown(candidates, texts, own, at);
  const { candidate, differing } = alike;
  return found(
    candidate,
    encoder,
    ignoresMerges,
    differing === 0
      ? `splits ${texts.length} texts of all kinds as ${candidate.names[0]} does`
      : `cuts ${texts.length} texts of all kinds into the same tokens as with ${candidate.names[0]}`,
  );
}

/** What llama.cpp has for patterns that it cannot do exactly. */
export function adaptedFor(at: Json): PreTokenizer | undefined {
  const steps = at.get("pretokenizers").list ?? [at];
  const own = JSON.stringify(
    steps.map((step) => step.get("pattern").get("Regex").string).filter((pattern) => pattern !== undefined),
  );
  return preTokenizers.find(({ original }) => original !== undefined && JSON.stringify(original) === own);
}

function found(candidate: PreTokenizer, encoder: Encoder, ignoresMerges: boolean, how: string): Found {
  const name = candidate.names[0]!;
  return {
    name,
    ...bosOf(name, encoder),
    warnings: [
      `The pre-tokenizer is not known by name, but ${how}: it is called so. "fewbit convert --check" compares the tokens.`,
      ...((candidate.ignoresMerges ?? false) === ignoresMerges
        ? []
        : [
            `Words that are tokens are ${ignoresMerges ? "taken whole by the source, and merged" : "merged by the source, and taken whole"} by ${name}: some may be cut differently.`,
          ]),
    ],
  };
}

/** Where llama.cpp begins texts with a token unless a file says otherwise, the file shall say what the source does. */
function bosOf(name: string, encoder: Encoder | undefined): Pick<Found, "addsBos"> {
  const adds = preTokenizers.find(({ names }) => names.includes(name))?.addsBos === true;
  return adds && encoder !== undefined ? { addsBos: encoder.encode("").length > 0 } : {};
}

interface Compared {
  readonly candidate: PreTokenizer;
  readonly words: readonly (readonly string[])[];
  /** Texts that are split differently. */
  readonly differing: number;
}

function compare(
  candidate: PreTokenizer,
  texts: readonly string[],
  own: readonly (readonly string[])[],
): Compared {
  const split = splitter(candidate);
  const words = texts.map((text) => split(text).map(spelled));
  return { candidate, words, differing: own.filter((each, i) => !same(each, words[i]!)).length };
}

const same = (a: readonly string[], b: readonly string[]): boolean =>
  a.length === b.length && a.every((each, i) => each === b[i]);

/** Words that are split differently may still be cut into the same tokens, when the vocabulary has no others. */
const sameTokens = (encoder: Encoder, a: readonly string[], b: readonly string[]): boolean =>
  same(a, b) || same(encoder.cut(a), encoder.cut(b));

/** Of several that do the same, one that treats whole words as the source does, and splits most like it. */
function pick(alike: readonly Compared[], ignoresMerges: boolean): Compared | undefined {
  const nearest = [...alike].sort((a, b) => a.differing - b.differing);
  return nearest.find(({ candidate }) => (candidate.ignoresMerges ?? false) === ignoresMerges) ?? nearest[0];
}

/** How many are offered. */
const NEAREST = 3;

function unknown(
  candidates: readonly Compared[],
  texts: readonly string[],
  own: readonly (readonly string[])[],
  at: Json,
): FewbitError {
  const nearest = [...candidates].sort((a, b) => a.differing - b.differing).slice(0, NEAREST);
  const told = nearest.map(({ candidate, words, differing }) => {
    const first = own.findIndex((each, i) => !same(each, words[i]!));
    const at = own[first]!.findIndex((word, i) => word !== words[first]![i]);
    const around = (list: readonly string[]): string =>
      JSON.stringify(list.slice(Math.max(0, at - 1), at + 3).map(readable));
    return `${candidate.names[0]} on ${differing} of ${texts.length} texts, of which the first is ${shown(texts[first]!)}, with ${around(own[first]!)} here and ${around(words[first]!)} there`;
  });
  return new FewbitError(
    "E_PRETOKENIZER",
    `No pre-tokenizer of llama.cpp splits texts as this tokenizer does. Those nearest to it differ: ${told.join("; ")}.`,
    { file: at.file, key: at.path },
    `Take one of them nevertheless, such as --pre-tokenizer ${nearest[0]!.candidate.names[0]}, and see with --check what it costs.`,
  );
}

const shown = (text: string): string =>
  JSON.stringify(text.length > 40 ? `${[...text].slice(0, 39).join("")}…` : text);
