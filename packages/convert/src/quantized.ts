// Checkpoints that are quantized already: 8-bit floats become float32 again, other kinds are refused.
import {
  type Config,
  FewbitError,
  float32,
  isFewbitError,
  locate,
  type Place,
  scaled,
  type View,
} from "@fewbit/core";

/** A tensor of a checkpoint. */
export interface CheckpointTensor {
  /** As its file has it. */
  readonly name: string;
  readonly file: string;
  readonly view: View;
}

/** What a scale is called beside its weight. */
const SCALES = ["_scale_inv", "_scale"];
/** Scales of activations: nothing here computes in 8 bits. */
const UNUSED = [".activation_scale", ".input_scale", ".k_scale", ".v_scale"];
/** Ways to quantize that a checkpoint may name. */
const METHODS = ["fp8", "compressed-tensors", "mxfp4"];

/**
 * The same tensors, 8-bit floats as float32 and without their scales.
 * @throws `E_CHECKPOINT` where the checkpoint is quantized in a way that is not known, or scales do not fit
 */
export function dequantize(tensors: readonly CheckpointTensor[], config: Config): CheckpointTensor[] {
  const settings = config.section("quantization_config");
  const method = settings.string("quant_method", "");
  if (method !== "" && !METHODS.includes(method))
    throw settings.error(
      "quant_method",
      `The checkpoint is quantized by ${method} already, which cannot be undone here.`,
      "Take the original checkpoint in BF16, F16 or F32.",
    );
  const eightBits = new Set(
    tensors
      .filter(({ view }) => view.dtype.startsWith("F8_") && view.dtype !== "F8_E8M0")
      .map(({ name }) => name),
  );
  if (eightBits.size === 0) return [...tensors];
  const scales = new Map<string, View>();
  const kept = tensors.filter(({ name, view }) => {
    const end = SCALES.find((each) => name.endsWith(each) && eightBits.has(name.slice(0, -each.length)));
    if (end !== undefined) scales.set(name.slice(0, -end.length), view);
    return end === undefined && !UNUSED.some((each) => name.endsWith(each));
  });
  const block = settings.numbers("weight_block_size");
  return kept.map((tensor) => {
    if (!eightBits.has(tensor.name)) return tensor;
    const scale = scales.get(tensor.name);
    try {
      return {
        ...tensor,
        view: scale === undefined ? float32(tensor.view) : withScales(tensor.view, scale, block),
      };
    } catch (thrown) {
      const at = { file: tensor.file, tensor: tensor.name };
      throw isFewbitError(thrown, "E_CHECKPOINT") ? unfit(thrown, at) : thrown;
    }
  });
}

/** What does not fit together, with its place, and a remedy where it has none. */
export const unfit = (error: FewbitError, at: Place): FewbitError =>
  locate(
    error.remedy === undefined
      ? new FewbitError(error.code, error.message, error.at, "Download the checkpoint again.", error.cause)
      : error,
    at,
  );

/** Scales for blocks, for each row, or one for all. */
function withScales(view: View, scale: View, block: readonly number[]): View {
  const size = scale.shape.reduce((a, b) => a * b, 1);
  const [high, wide] = block;
  if (size === 1) return scaled(view, scale);
  if (high !== undefined && wide !== undefined && block.length === 2)
    return scaled(view, scale, [high, wide]);
  if (size === view.shape.slice(0, -1).reduce((a, b) => a * b, 1))
    return scaled(view, scale, [1, view.shape.at(-1) ?? 1]);
  throw new FewbitError(
    "E_CHECKPOINT",
    `Its scales have the shape [${scale.shape.join(" × ")}], and quantization_config does not say of which blocks.`,
    {},
    "Take the original checkpoint in BF16, F16 or F32.",
  );
}
