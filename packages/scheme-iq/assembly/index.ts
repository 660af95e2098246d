export { base } from "@fewbit/assembly";
export * from "./iq1_m";
export * from "./iq1_s";
export * from "./iq4_nl";
export * from "./iq4_xs";
