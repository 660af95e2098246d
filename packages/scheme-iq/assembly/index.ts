export { base } from "@fewbit/assembly";
export * from "./iq4_nl";
export * from "./iq4_xs";
