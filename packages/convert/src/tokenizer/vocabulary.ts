import { FewbitError, type MetadataEntry } from "@fewbit/core";
import { REMEDY } from "./json.js";

/** GGUF's kinds of tokens. */
export const tokenType = { normal: 1, unknown: 2, control: 3, userDefined: 4, unused: 5, byte: 6 } as const;
export type TokenType = (typeof tokenType)[keyof typeof tokenType];

/** Tokens by their numbers. Numbers that no file mentions are filled: every row of the embedding needs a token. */
export class Vocabulary {
  readonly tokens: string[];
  readonly scores: number[];
  readonly types: TokenType[];

  /** `fillScore` is what SentencePiece vocabularies give to tokens that only fill a place. */
  constructor(size: number, fillScore = 0) {
    this.tokens = Array.from({ length: size }, (_, id) => `[PAD${id}]`);
    this.scores = new Array<number>(size).fill(fillScore);
    this.types = new Array<TokenType>(size).fill(tokenType.unused);
  }

  get size(): number {
    return this.tokens.length;
  }

  set(id: number, token: string, type: TokenType, score = 0): void {
    this.tokens[id] = token;
    this.types[id] = type;
    this.scores[id] = score;
  }

  /**
   * `scores` where its kind of vocabulary has them.
   * @throws `E_TOKENIZER` where two tokens are spelled alike: llama.cpp cannot load such a vocabulary
   */
  entries(model: string, pre: string, file: string, scores: boolean): MetadataEntry[] {
    const seen = new Map<string, number>();
    for (const [id, token] of this.tokens.entries()) {
      const other = seen.get(token);
      seen.set(token, id);
      if (other !== undefined)
        throw new FewbitError(
          "E_TOKENIZER",
          `Tokens ${other} and ${id} are both ${JSON.stringify(token)}.`,
          { file },
          REMEDY,
        );
    }
    return [
      { key: "tokenizer.ggml.model", type: "string", value: model },
      { key: "tokenizer.ggml.pre", type: "string", value: pre },
      { key: "tokenizer.ggml.tokens", type: "array<string>", value: this.tokens },
      ...(scores ? [{ key: "tokenizer.ggml.scores", type: "array<f32>", value: this.scores }] : []),
      { key: "tokenizer.ggml.token_type", type: "array<i32>", value: this.types },
    ];
  }
}

/** Tokens that models mark as ordinary added ones though they steer: llama.cpp's converter knows them by their looks. */
export const looksSpecial = (token: string): boolean =>
  ["<pad>", "<mask>", "<2mass>", "[@BOS@]"].includes(token) ||
  (token.startsWith("<|") && token.endsWith("|>")) ||
  (token.startsWith("<｜") && token.endsWith("｜>")) ||
  (token.startsWith("<unused") && token.endsWith(">"));

/** Added tokens are compared with raw text, which has spaces where vocabularies have U+2581. */
export const visible = (token: string): string => token.replaceAll("\u2581", " ");
