import type { PreTokenizer } from "./patterns.js";

/** Rust, Python and llama.cpp agree on this, JavaScript's `\s` does not. */
const SPACE = String.raw`\p{White_Space}`;

const compile = (pattern: string): RegExp =>
  new RegExp(
    // The complement cannot stand in a class as `\S`, and does not.
    pattern.replaceAll(/\\[sS]/g, (found) => (found === "\\s" ? SPACE : String.raw`\P{White_Space}`)),
    "gu",
  );

/** How a pre-tokenizer splits texts. */
export function splitter({ patterns }: PreTokenizer): (text: string) => string[] {
  const expressions = patterns.map(compile);
  return (text) =>
    expressions.reduce((words, expression) => words.flatMap((word) => isolate(word, expression)), [text]);
}

/** Matches and what is between them; a match of nothing is a place to cut. */
function isolate(text: string, expression: RegExp): string[] {
  const words: string[] = [];
  let end = 0;
  for (const match of text.matchAll(expression)) {
    words.push(text.slice(end, match.index), match[0]);
    end = match.index + match[0].length;
  }
  words.push(text.slice(end));
  return words.filter((word) => word !== "");
}
