import { test } from "node:test";
import { testPlugin, testScheme } from "@fewbit/testing";
import plugin from "fewbit-scheme-example";

testPlugin(plugin, { test });
for (const scheme of plugin.schemes) testScheme(scheme, { test });
