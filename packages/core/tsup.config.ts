import { library } from "../../tooling/tsup.js";

export default library({
  index: "src/index.ts",
  node: "src/node.ts",
  kernel: "src/kernel.ts",
  worker: "src/worker.ts",
});
