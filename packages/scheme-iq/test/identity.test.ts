import { testIdentity } from "../../../tooling/identity.js";
import plugin from "../src/index.js";
import vectors from "./vectors.json" with { type: "json" };

for (const scheme of plugin.schemes) testIdentity(scheme, vectors);
