import { testIdentity } from "@fewbit/tooling/identity";
import plugin from "../src/index.js";
import vectors from "./vectors.json" with { type: "json" };

for (const scheme of plugin.schemes) testIdentity(scheme, vectors);
