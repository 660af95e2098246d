import { code } from "./code.js";
import { dialogue } from "./dialogue.js";
import { facts } from "./facts.js";
import { foreign } from "./languages.js";
import { prose } from "./prose.js";
import { Chooser } from "./template.js";

/** A text, and what importance matrices call it. */
export interface DefaultText {
  readonly name: string;
  readonly text: string;
}

/** Characters, about. */
const LENGTH = 240_000;

/** One round: English prose is half of it, as in what most models have read. */
const round = [prose, code, prose, facts, foreign, prose, dialogue, code, prose, foreign, facts];

/**
 * A text for calibration where there is none of one's own: prose, code, tables, sums, dialogues and fourteen languages
 * besides English, put together from sentences and templates that were written for it. The same in every run and on
 * every machine; a change of it changes its name.
 */
export function defaultText(): DefaultText {
  const chooser = new Chooser(20_240_229);
  const parts: string[] = [];
  for (let [length, i] = [0, 0]; length < LENGTH; i++) {
    const part = round[i % round.length]!(chooser);
    parts.push(part);
    length += part.length;
  }
  return { name: "fewbit default text 1", text: parts.join("\n\n") };
}
