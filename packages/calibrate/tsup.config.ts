import { library } from "../../tooling/tsup.js";

export default library({ index: "src/index.ts", task: "src/task.ts" });
