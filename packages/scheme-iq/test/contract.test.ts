import { testScheme } from "@fewbit/testing";
import { test } from "vitest";
import plugin from "../src/index.js";

for (const scheme of plugin.schemes) testScheme(scheme, { test });
