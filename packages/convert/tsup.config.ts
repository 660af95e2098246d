import { library } from "../../tooling/tsup.js";

export default library({
  index: "src/index.ts",
  node: "src/node.ts",
  "logits-task": "src/forward/logits-task.ts",
  "check-task": "src/check/check-task.ts",
  "template-task": "src/check/template-task.ts",
});
