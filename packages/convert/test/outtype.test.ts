import type { Model } from "@fewbit/core";
import { expect, test } from "vitest";
import { autoOuttype, fileTypeOf, outtypeRecipe } from "../src/outtype.js";

const modelOf = (tensors: readonly (readonly [name: string, dtype: string, shape: number[]])[]): Model => ({
  format: "gguf",
  metadata: [
    { key: "general.file_type", type: "u32", value: 99 },
    { key: "general.quantization_version", type: "u32", value: 2 },
  ],
  warnings: [],
  files: [],
  tensors: tensors.map(([name, dtype, shape]) => ({ name, dtype, shape, file: 0, offset: 0, bytes: 0 })),
});

const mixed = modelOf([
  ["token_embd.weight", "F32", [8, 32]],
  ["blk.0.attn_norm.weight", "F32", [32]],
  ["blk.0.ffn_gate_inp.weight", "F32", [4, 32]],
  ["blk.0.ffn_up_exps.weight", "MXFP4", [4, 8, 32]],
  ["blk.0.attn_q.weight", "BF16", [32, 32]],
]);

test("matrices get the type, and the rest stays, in the model's order", () => {
  const assigned = outtypeRecipe("Q8_0").assign(mixed, { options: {} });
  expect(assigned.map(({ tensor, scheme, instead }) => [tensor, scheme, instead])).toEqual([
    ["token_embd.weight", "Q8_0", ["F16"]],
    ["blk.0.attn_norm.weight", "keep", undefined],
    ["blk.0.ffn_gate_inp.weight", "keep", undefined],
    ["blk.0.ffn_up_exps.weight", "keep", undefined],
    ["blk.0.attn_q.weight", "Q8_0", ["F16"]],
  ]);
});

test.each([
  ["F32", 38],
  ["F16", 38],
  ["BF16", 38],
  ["Q8_0", 7],
])("with experts in MXFP4 a file in %s is of type %d", (type, fileType) => {
  expect(fileTypeOf(mixed, type)).toBe(fileType);
  expect(outtypeRecipe(type).metadata!(mixed, { options: {} })[0]).toEqual({
    key: "general.file_type",
    type: "u32",
    value: fileType,
  });
});

test.each([
  ["F32", 0],
  ["F16", 1],
  ["BF16", 32],
  ["Q8_0", 7],
])("else a file in %s is of type %d", (type, fileType) => {
  expect(fileTypeOf(modelOf([["token_embd.weight", "BF16", [8, 32]]]), type)).toBe(fileType);
});

test.each([
  ["BF16", ["F32", "BF16", "F16"]],
  ["F16", ["F16", "BF16"]],
  ["F16", ["F32"]],
])("auto is %s for matrices in %j", (type, dtypes) => {
  const tensors = dtypes.map((dtype, i) => [`${i}.weight`, dtype, [2, 32]] as const);
  expect(
    autoOuttype(
      modelOf(
        [["norm.weight", "BF16", [32]], ...tensors].map(([a, b, c]) => [a, b, [...c]] as const) as never,
      ),
    ),
  ).toBe(type);
});
