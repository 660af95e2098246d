// Workers are JavaScript files of the built package, so it is the built package that is tested.
import plugin from "@fewbit/runner-piscina";
import { testPlugin, testRunner } from "@fewbit/testing";
import { test } from "vitest";

testPlugin(plugin, { test });
for (const runner of plugin.runners!) testRunner(runner, { test });
