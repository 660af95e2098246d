import { definePlugin, type Scheme } from "@fewbit/core";
import pkg from "../package.json" with { type: "json" };

const schemes: readonly Scheme[] = [];

export default definePlugin({
  api: 1,
  name: "@fewbit/scheme-iq",
  version: pkg.version,
  module: import.meta.url,
  schemes,
});
