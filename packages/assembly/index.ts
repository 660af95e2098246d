// Building blocks of block kernels. Import what you need: import { encodeHalf } from "@fewbit/assembly";
export * from "./half";
export * from "./lanes";
export * from "./memory";
export * from "./rounding";
