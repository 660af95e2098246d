export { base } from "@fewbit/assembly";
export * from "./iq1_m";
export * from "./iq1_s";
export * from "./iq2_s";
export * from "./iq2_xs";
export * from "./iq2_xxs";
export * from "./iq4_nl";
export * from "./iq4_xs";
