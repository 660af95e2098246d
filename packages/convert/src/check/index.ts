export {
  checkTokenizer,
  type TemplateCheck,
  type TokenDifference,
  type TokenizerCheck,
  type TokenizerCheckOptions,
} from "./check.js";
