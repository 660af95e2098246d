import { library } from "../../tooling/tsup.js";

// The plugin that testRunner makes workers import is a file of its own.
export default library({ index: "src/index.ts", "runner-plugin": "src/runner-plugin.ts" });
