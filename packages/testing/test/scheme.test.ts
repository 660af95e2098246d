import { test } from "vitest";
import { testScheme } from "../src/index.js";
import { schemes } from "./plain.js";

for (const scheme of schemes) testScheme(scheme, { test });
