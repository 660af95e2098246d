import type { Assignment, Draft, MetadataEntry, Model, TensorInfo } from "@fewbit/core";
import { tensorTypes } from "../src/types.js";

/** A tensor as a reader would describe it; `shape` is row-major. */
export const tensor = (name: string, shape: readonly number[], dtype = "F16"): TensorInfo => {
  const { block, bytes } = tensorTypes.get(dtype)!;
  return {
    name,
    shape,
    dtype,
    file: 0,
    offset: 0,
    bytes: (shape.reduce((a, b) => a * b, 1) / block) * bytes,
  };
};

export interface Architecture {
  architecture?: string;
  layers: number;
  heads?: number;
  keyValueHeads?: number;
  experts?: number;
  /** Columns of the model's rows. */
  width?: number;
  tied?: boolean;
  /** Fused attn_qkv instead of attn_q, attn_k and attn_v. */
  fused?: boolean;
}

export function model(options: Architecture): Model {
  const {
    architecture = "llama",
    layers,
    heads = 32,
    keyValueHeads = heads,
    experts = 0,
    width = 256,
  } = options;
  const number = (key: string, value: number): MetadataEntry => ({
    key: `${architecture}.${key}`,
    type: "u32",
    value,
  });
  const square = [width, width];
  const inner = experts > 0 ? [experts, width, width] : square;
  const suffix = experts > 0 ? "_exps.weight" : ".weight";
  return {
    format: "gguf",
    warnings: [],
    files: [{ kind: "file", path: "model.gguf" }],
    metadata: [
      { key: "general.architecture", type: "string", value: architecture },
      number("block_count", layers),
      number("attention.head_count", heads),
      number("attention.head_count_kv", keyValueHeads),
      ...(experts > 0 ? [number("expert_count", experts)] : []),
    ],
    tensors: [
      tensor("token_embd.weight", square),
      tensor("output_norm.weight", [width], "F32"),
      ...(options.tied ? [] : [tensor("output.weight", square)]),
      ...Array.from({ length: layers }, (_, i) => [
        tensor(`blk.${i}.attn_norm.weight`, [width], "F32"),
        ...(options.fused
          ? [tensor(`blk.${i}.attn_qkv.weight`, square)]
          : ["attn_q", "attn_k", "attn_v"].map((part) => tensor(`blk.${i}.${part}.weight`, square))),
        tensor(`blk.${i}.attn_output.weight`, square),
        tensor(`blk.${i}.ffn_norm.weight`, [width], "F32"),
        ...(experts > 0 ? [tensor(`blk.${i}.ffn_gate_inp.weight`, [experts, width], "F32")] : []),
        ...["ffn_gate", "ffn_up", "ffn_down"].map((part) => tensor(`blk.${i}.${part}${suffix}`, inner)),
      ]).flat(),
    ],
  };
}

/** A draft that stores each tensor as `dtypeOf` says. */
export function draft(
  model: Model,
  metadata: readonly MetadataEntry[] = model.metadata,
  dtypeOf: (name: string, dtype: string) => string = (_name, dtype) => dtype,
): Draft {
  return {
    metadata,
    files: model.files.length,
    tensors: model.tensors.map(({ name, shape, dtype: from, file }) => {
      const dtype = dtypeOf(name, from);
      const { block, bytes } = tensorTypes.get(dtype)!;
      const size = (shape.reduce((a, b) => a * b, 1) / block) * bytes;
      return { name, dtype, shape, file, parts: [{ name: "", dtype, shape, bytes: size, per: "tensor" }] };
    }),
  };
}

/** What each assignment stores, after rows that no block divides found another type. */
export function storedTypes(model: Model, assignments: readonly Assignment[]): Map<string, string> {
  const tensors = new Map(model.tensors.map((t) => [t.name, t]));
  return new Map(
    assignments.map(({ tensor, scheme, instead = [] }) => {
      const { shape, dtype } = tensors.get(tensor)!;
      const fits = (type: string) => shape.at(-1)! % tensorTypes.get(type)!.block === 0;
      return [tensor, scheme === "keep" ? dtype : [scheme, ...instead].find(fits)!];
    }),
  );
}
