import type { importanceStatistics } from "@fewbit/calibrate";
import { type Column, table } from "./render.js";

const right = (title: string): Column => ({ title, align: "right" });
const percent = (share: number, digits = 2): string => `${(100 * share).toFixed(digits)}%`;

/** The tables that llama-imatrix prints with `--show-statistics`, with the same digits. */
export function statisticsText({ tensors, layers }: ReturnType<typeof importanceStatistics>): string {
  const ofTensors = table(
    [
      right("LAYER"),
      { title: "TENSOR" },
      ...["Σ(ACT²)", "MIN", "MAX", "μ", "σ", "% ACTIVE", "N", "ENTROPY", "E (NORM)", "ZD", "COSSIM"].map(
        right,
      ),
    ],
    tensors.map((tensor) => [
      tensor.layer === undefined ? "-" : String(tensor.layer),
      tensor.kind,
      tensor.sum.toFixed(2),
      tensor.min.toFixed(4),
      tensor.max.toFixed(4),
      tensor.mean.toFixed(2),
      tensor.deviation.toFixed(2),
      percent(tensor.active),
      String(tensor.count),
      tensor.entropy.toFixed(4),
      percent(tensor.normalizedEntropy),
      percent(tensor.zScore),
      tensor.cosine.toFixed(4),
    ]),
  );
  const ofLayers = table(
    ["LAYER", "μΣ(ACT²)", "μZD", "μCOSSIM"].map(right),
    layers.map(({ layer, sum, zScore, cosine }) => [
      String(layer),
      sum.toFixed(2),
      percent(zScore, 4),
      cosine.toFixed(4),
    ]),
  );
  return layers.length === 0 ? ofTensors : `${ofTensors}\n\n${ofLayers}`;
}
