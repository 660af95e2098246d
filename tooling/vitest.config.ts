import { preset } from "./vitest.js";

export default preset;
