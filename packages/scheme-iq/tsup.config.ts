import { library } from "../../tooling/tsup.js";

export default library({ index: "src/index.ts", reference: "src/reference.ts" });
