import type { Engine } from "@fewbit/core";
import { llama } from "@fewbit/engine-llama";

/** Its process imports what is built, not what is being tested: the tasks. */
export const engine: Engine = {
  ...llama,
  run: (task, input, options) =>
    llama.run({ url: task.url.replace(/\/src\/(?:forward|check)\//, "/dist/") }, input, options),
};
