import { library } from "../../tooling/tsup.js";

export default library(
  { index: "src/index.ts", main: "src/main.ts", "bench-task": "src/bench-task.ts" },
  { platform: "node" },
);
