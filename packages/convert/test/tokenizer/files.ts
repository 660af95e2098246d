// Checkpoints in memory, and GGUF files that hold a tokenizer and nothing else.
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { MetadataEntry } from "@fewbit/core";
import { writer } from "@fewbit/format-gguf";
import { PbfWriter } from "pbf";
import { afterAll } from "vitest";
import type { CheckpointFiles } from "../../src/checkpoint.js";
import { readConfig } from "../../src/config.js";
import { type TokenizerMetadata, tokenizerMetadata } from "../../src/tokenizer/index.js";
import type { Piece } from "../../src/tokenizer/sentencepiece.js";

const scratch = mkdtempSync(join(tmpdir(), "fewbit-tokenizer-"));
afterAll(() => rmSync(scratch, { recursive: true, force: true }));

export type Contents = Readonly<Record<string, string | Uint8Array | object>>;

const bytesOf = (content: string | Uint8Array | object): Uint8Array =>
  content instanceof Uint8Array
    ? content
    : new TextEncoder().encode(typeof content === "string" ? content : JSON.stringify(content));

/** Texts and bytes as they are, anything else as JSON. */
export const inMemory = (contents: Contents): CheckpointFiles => ({
  path: (name) => name,
  read: async (name) => (Object.hasOwn(contents, name) ? bytesOf(contents[name]!) : undefined),
});

export const inFolder = (folder: string): CheckpointFiles => ({
  path: (name) => name,
  read: async (name) => {
    try {
      return new Uint8Array(readFileSync(join(folder, name)));
    } catch {
      return undefined;
    }
  },
});

export async function read(
  files: CheckpointFiles,
  architecture = "llama",
  preTokenizer?: string,
): Promise<TokenizerMetadata> {
  const config = (await files.read("config.json")) ?? bytesOf("{}");
  return tokenizerMetadata(files, readConfig(config, "config.json"), {
    architecture,
    ...(preTokenizer === undefined ? {} : { preTokenizer }),
  });
}

export const entryValue = (entries: readonly MetadataEntry[], key: string): unknown =>
  entries.find((entry) => entry.key === key || entry.key === `tokenizer.ggml.${key}`)?.value;

let count = 0;

/** The path of a file with these entries. */
export function vocabularyFile(entries: readonly MetadataEntry[], architecture = "llama"): string {
  const { files } = writer.layout({
    metadata: [{ key: "general.architecture", type: "string", value: architecture }, ...entries],
    files: 1,
    tensors: [],
  });
  const path = join(scratch, `${count++}.gguf`);
  writeFileSync(path, files[0]!.header);
  return path;
}

export interface ModelSettings {
  readonly algorithm?: "unigram" | "bpe";
  readonly addsPrefix?: boolean;
  readonly removesExtraSpaces?: boolean;
  readonly charsMap?: Uint8Array;
}

/** A tokenizer.model. */
export function modelFile(
  pieces: readonly Piece[],
  { algorithm = "bpe", addsPrefix = true, removesExtraSpaces = false, charsMap }: ModelSettings = {},
): Uint8Array {
  const out = new PbfWriter();
  for (const piece of pieces)
    out.writeMessage(
      1,
      ({ text, score, type }: Piece, inner) => {
        inner.writeStringField(1, text);
        inner.writeFloatField(2, score);
        if (type !== 1) inner.writeVarintField(3, type);
      },
      piece,
    );
  out.writeMessage(
    2,
    (value: number, inner) => inner.writeVarintField(3, value),
    algorithm === "bpe" ? 2 : 1,
  );
  out.writeMessage(
    3,
    (_: null, inner) => {
      inner.writeStringField(1, "identity");
      if (charsMap !== undefined) inner.writeBytesField(2, charsMap);
      inner.writeVarintField(3, addsPrefix ? 1 : 0);
      inner.writeVarintField(4, removesExtraSpaces ? 1 : 0);
      inner.writeVarintField(5, 1);
    },
    null,
  );
  return out.finish().slice();
}
