import { library } from "../../tooling/tsup.js";

export default library({ index: "src/index.ts", host: "src/host.ts" }, { platform: "node" });
