import type { Draft } from "@fewbit/core";
import { type Sample, testPlugin, testReader, testWriter } from "@fewbit/testing";
import { test } from "vitest";
import plugin, { reader, writer } from "../src/index.js";
import { small } from "./build.js";

/** Two shards as the writer lays them out. */
function shards(): Sample {
  const tensors = ["a.weight", "b.weight"].map((name, file): Draft["tensors"][number] => ({
    name,
    dtype: "F32",
    shape: [2, 8],
    parts: [{ name: "", dtype: "F32", shape: [2, 8], bytes: 64, per: "row" }],
    file,
  }));
  const { files } = writer.layout({
    metadata: [{ key: "general.architecture", type: "string", value: "llama" }],
    tensors,
    files: 2,
  });
  const [first, second] = files.map(({ header, size }) => {
    const bytes = new Uint8Array(size).fill(7);
    bytes.set(header);
    return bytes;
  });
  return {
    name: "model-00001-of-00002.gguf",
    bytes: first!,
    siblings: { "model-00002-of-00002.gguf": second! },
  };
}

testPlugin(plugin, { test });
testReader(reader, { test, samples: [{ name: "model.gguf", bytes: small() }, shards()] });
testWriter(writer, {
  test,
  reader,
  metadata: [
    { key: "general.architecture", type: "string", value: "llama" },
    { key: "llama.block_count", type: "u32", value: 1 },
    { key: "llama.rope.freq_base", type: "f32", value: 10000 },
    { key: "tokenizer.ggml.tokens", type: "array<string>", value: ["<s>", "é", ""] },
  ],
});
