export { base } from "@fewbit/assembly";
export * from "./q8_0";
