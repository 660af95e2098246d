import { testReference } from "../../../tooling/reference.js";
import plugin from "../src/index.js";
import { reference } from "../src/reference.js";

for (const scheme of plugin.schemes) testReference(scheme, reference.get(scheme.id)!);
