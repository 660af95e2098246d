// Node's side: a check that writes a file of its own.
export { type ConversionRequest, checkConversion } from "./forward/check-conversion.js";
