export { base } from "@fewbit/assembly";
export * from "./q4_k";
export * from "./q5_k";
