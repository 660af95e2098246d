export { base } from "@fewbit/assembly";
export * from "./f32";
export * from "./f16";
export * from "./bf16";
export * from "./mxfp4";
export * from "./nvfp4";
