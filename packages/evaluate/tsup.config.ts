import { library } from "../../tooling/tsup.js";

export default library({
  index: "src/index.ts",
  "perplexity-task": "src/perplexity-task.ts",
  "compare-task": "src/compare-task.ts",
});
