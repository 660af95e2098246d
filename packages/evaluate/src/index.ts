export {
  type CompareRequest,
  type Comparison,
  compareModels,
  type TensorComparison,
  type Total,
} from "./compare.js";
export { type Pair, type Pairing, type PairRequest, pairTensors } from "./pair.js";
