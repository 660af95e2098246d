export { base } from "@fewbit/assembly";
export * from "./q1_0";
export * from "./q2_0";
export * from "./q4_0";
export * from "./q5_0";
export * from "./q8_0";
export * from "./tq1_0";
export * from "./tq2_0";
