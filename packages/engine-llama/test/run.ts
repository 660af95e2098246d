import type { EngineHost, EngineOptions } from "@fewbit/core";
import { type Build, llama } from "@fewbit/engine-llama";
import { buildNames, findBuild } from "../src/builds.js";

/** Of this machine's processor; undefined where there is none, and nothing can be run. */
export const build: Build | undefined = findBuild(buildNames().at(-1) ?? "");

if (build === undefined)
  console.warn("Skipped: there is no build of llama.cpp for this machine, so the engine cannot be run.");

const url = new URL("./script.mjs", import.meta.url).href;

export type Script<Input, Output> = (
  host: EngineHost,
  input: Input,
) => Iterable<Output> | AsyncIterable<Output>;

/** Runs a function in the engine's process; it sees nothing of the module it is written in. */
export const start = <Input, Output>(
  script: Script<Input, Output>,
  input: Input,
  options: EngineOptions & { readonly engine?: typeof llama } = {},
): AsyncIterable<Output> => {
  const { engine = llama, ...rest } = options;
  return engine.run<Output>({ url }, { script: script.toString(), input }, rest);
};

/** All that it yields. */
export async function run<Input, Output>(
  script: Script<Input, Output>,
  input: Input,
  options?: Parameters<typeof start>[2],
): Promise<Output[]> {
  const values: Output[] = [];
  for await (const value of start(script, input, options)) values.push(value);
  return values;
}
