import { library } from "../../tooling/tsup.js";

// What testRunner and testEngine make others import are files of their own.
export default library({
  index: "src/index.ts",
  "runner-plugin": "src/runner-plugin.ts",
  "engine-task": "src/engine-task.ts",
});
