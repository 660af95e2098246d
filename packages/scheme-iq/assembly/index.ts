export { base } from "@fewbit/assembly";
