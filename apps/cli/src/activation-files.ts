// What calibration collects besides the importance matrix, as files that other programs read.
import { type Calibration, entropyRange, mseRange, percentileRange } from "@fewbit/calibrate";
import { writer } from "@fewbit/format-safetensors";
import { toJson } from "./render.js";

/** Shares of values that a range is given for. */
const SHARES = [0.99, 0.999, 0.9999, 0.99999] as const;

/** JSON; the histogram without the empty bins at its ends. */
export function rangesFile(result: Calibration): readonly Uint8Array[] {
  const { ranges, model, engine, contextSize, done, importance } = result;
  const tensors = [...ranges].map(([tensor, { minMax, movingAverage, histogram }]) => {
    const { width, from, counts } = histogram;
    const first = Math.max(
      0,
      counts.findIndex((count) => count > 0),
    );
    const last = counts.findLastIndex((count) => count > 0);
    return {
      tensor,
      minMax,
      movingAverage,
      percentile: Object.fromEntries(SHARES.map((share) => [share, percentileRange(histogram, share)])),
      entropy: { 8: entropyRange(histogram, 8) },
      mse: { 8: mseRange(histogram, 8), 4: mseRange(histogram, 4) },
      histogram: { width, from: from + first * width, counts: [...counts.subarray(first, last + 1)] },
    };
  });
  const { datasets } = importance;
  const document = { version: 1, model, engine, datasets, contextSize, chunks: done, tensors };
  return [new TextEncoder().encode(`${toJson(document)}\n`)];
}

/** safetensors: of each weight XᵀX as F32, and in the metadata how many input vectors were added. */
export function momentsFile(result: Calibration): readonly Uint8Array[] {
  const { moments, model, engine, contextSize, done, importance } = result;
  const metadata = {
    "fewbit.moments": "1",
    model,
    engine,
    datasets: JSON.stringify(importance.datasets),
    contextSize: String(contextSize),
    chunks: String(done),
    ...Object.fromEntries([...moments].map(([name, { count }]) => [`${name}.count`, String(count)])),
  };
  const { files, places } = writer.layout({
    metadata: Object.entries(metadata).map(([key, value]) => ({ key, type: "string", value })),
    tensors: [...moments].map(([name, { columns, sums }]) => ({
      name,
      dtype: "F32",
      shape: [columns, columns],
      parts: [{ name: "", dtype: "F32", shape: [columns, columns], bytes: sums.byteLength, per: "tensor" }],
      file: 0,
    })),
    files: 1,
  });
  const inOrder = [...places].sort((a, b) => a.offset - b.offset);
  return [
    files[0]!.header,
    ...inOrder.map(({ tensor }) => {
      const { sums } = moments.get(tensor)!;
      return new Uint8Array(sums.buffer, sums.byteOffset, sums.byteLength);
    }),
  ];
}
