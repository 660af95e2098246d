import { type Config, readView, stored, type View } from "@fewbit/core";
import { describe, expect, test } from "vitest";
import { readConfig } from "../src/config.js";
import { dequantize } from "../src/quantized.js";

const files = new Map<string, Uint8Array>();

function tensor(name: string, dtype: string, shape: readonly number[], bytes: ArrayLike<number>) {
  files.set(name, Uint8Array.from(bytes));
  const from = { kind: "file", path: name } as const;
  const view = stored({ name, from, dtype, shape, offset: 0, bytes: bytes.length });
  return { name, file: "model.safetensors", view };
}

const floats = (name: string, shape: readonly number[], ...values: number[]) =>
  tensor(name, "F32", shape, new Uint8Array(Float32Array.from(values).buffer));

async function valuesOf(view: View): Promise<number[]> {
  const bytes = new Uint8Array(view.bytes);
  await readView(view, 0, bytes, (from, offset, into) => {
    const stored = files.get((from as { path: string }).path)!;
    into.set(stored.subarray(offset, offset + into.length));
  });
  return [...new Float32Array(bytes.buffer)];
}

const configOf = (quantization: object | undefined): Config =>
  readConfig(new TextEncoder().encode(JSON.stringify({ quantization_config: quantization })), "config.json");

/** 1, 2, -1, 0.5, 448, 0 as E4M3. */
const CODES = [0x38, 0x40, 0xb8, 0x30, 0x7e, 0x00];

describe("8-bit floats become float32", () => {
  test("by scales of blocks", async () => {
    const [weight, norm, ...rest] = dequantize(
      [
        tensor("w.weight", "F8_E4M3", [3, 2], CODES),
        floats("norm.weight", [1], 5),
        floats("w.weight_scale_inv", [2, 1], 2, 10),
        floats("w.activation_scale", [1], 9),
      ],
      configOf({ quant_method: "fp8", weight_block_size: [2, 2] }),
    );
    expect(await valuesOf(weight!.view)).toEqual([2, 4, -2, 1, 4480, 0]);
    expect(norm!.name).toBe("norm.weight");
    expect(rest).toEqual([]);
  });

  test.each<[string, readonly number[], readonly number[], readonly number[]]>([
    ["one for all", [], [3], [3, 6, -3, 1.5, 1344, 0]],
    ["one for each row", [3, 1], [1, 2, 3], [1, 2, -2, 1, 1344, 0]],
  ])("by a scale: %s", async (_, shape, scales, expected) => {
    const [weight] = dequantize(
      [tensor("w.weight", "F8_E4M3", [3, 2], CODES), floats("w.weight_scale", shape, ...scales)],
      configOf({ quant_method: "compressed-tensors" }),
    );
    expect(await valuesOf(weight!.view)).toEqual(expected);
  });

  test("as they are where there are no scales", async () => {
    const [weight] = dequantize([tensor("w.weight", "F8_E5M2", [2], [0x3c, 0xc0])], configOf(undefined));
    expect(await valuesOf(weight!.view)).toEqual([1, -2]);
  });
});

test("scales of what is no 8-bit float are tensors like any other", () => {
  const given = [floats("w.weight", [1], 1), floats("w.weight_scale", [1], 2)];
  expect(dequantize(given, configOf(undefined))).toEqual(given);
});

describe("refused", () => {
  test("a kind of quantization that is not known", () => {
    expect(() => dequantize([], configOf({ quant_method: "awq" }))).toThrow(
      expect.objectContaining({
        code: "E_CHECKPOINT",
        message: "The checkpoint is quantized by awq already, which cannot be undone here.",
        at: { file: "config.json", key: "quantization_config.quant_method" },
      }),
    );
  });

  test.each([
    [{}, "Its scales have the shape [2 × 2], and quantization_config does not say of which blocks."],
    [{ weight_block_size: [1, 2] }, "Scales of [2 × 2] do not fit a tensor of [3 × 2] in blocks of 1 × 2."],
  ])("scales that fit no block, %j", (quantization, message) => {
    const given = [
      tensor("w.weight", "F8_E4M3", [3, 2], CODES),
      floats("w.weight_scale_inv", [2, 2], 1, 1, 1, 1),
    ];
    expect(() => dequantize(given, configOf(quantization))).toThrow(
      expect.objectContaining({
        code: "E_CHECKPOINT",
        message,
        at: { file: "model.safetensors", tensor: "w.weight" },
      }),
    );
  });
});
