export { base } from "@fewbit/assembly";
export * from "./q2_k";
export * from "./q4_1";
export * from "./q4_k";
export * from "./q5_1";
export * from "./q5_k";
