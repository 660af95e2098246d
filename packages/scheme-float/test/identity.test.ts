import { testIdentity } from "../../../tooling/identity.js";
import plugin from "../src/index.js";
import vectors from "./vectors.json" with { type: "json" };

// F32 has nothing to compare: its bytes are the weights (f32.test.ts).
for (const scheme of plugin.schemes) if (scheme.id !== "F32") testIdentity(scheme, vectors);
