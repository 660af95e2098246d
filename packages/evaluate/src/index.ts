export {
  type CompareRequest,
  type Comparison,
  compareModels,
  type TensorComparison,
  type Total,
} from "./compare.js";
export type { Percentiles, Rounding } from "./compare-task.js";
export type { LoadedModel } from "./loaded-model.js";
export {
  type CandidateOutput,
  type ChunkOutput,
  compareOutputs,
  type Divergence,
  type ModelOutput,
  type OutputComparison,
  type OutputProgress,
  type OutputRequest,
  type ProbabilityChange,
} from "./outputs.js";
export { type Pair, type Pairing, type PairRequest, pairTensors } from "./pair.js";
export {
  type ChunkPerplexity,
  type Perplexity,
  type PerplexityProgress,
  type PerplexityRequest,
  perplexity,
} from "./perplexity.js";
export type { ProtocolOptions } from "./protocol.js";
export type { Estimate } from "./statistics.js";
