import { describe, expect, test } from "vitest";
import { isFewbitError } from "../src/error.js";
import { createRegistry, importPlugin } from "../src/registry.js";
import type { Plugin } from "../src/types.js";
import plugin, { topScheme } from "./top16.js";

const other: Plugin = { ...plugin, name: "other" };

describe("registry", () => {
  test("finds by id whatever the case", () => {
    expect(createRegistry([plugin]).scheme("top16").value).toBe(topScheme);
  });

  test("lists what there is, nearest spelling first", () => {
    const registry = createRegistry([
      {
        ...plugin,
        schemes: [
          { ...topScheme, id: "Q8_0" },
          { ...topScheme, id: "Q4_K" },
        ],
      },
    ]);
    expect(() => registry.scheme("Q4K")).toThrow(
      'No registered plugin brings a scheme "Q4K". Registered: Q4_K, Q8_0.',
    );
  });

  test("a name brought twice must be qualified", () => {
    const registry = createRegistry([plugin, other]);
    expect(() => registry.scheme("TOP16")).toThrow('The scheme "TOP16" is brought by top16 and other.');
    expect(registry.scheme("other:TOP16").plugin).toBe(other);
  });

  test("an architecture is found by the name of a class", () => {
    const architecture = { id: "llama", summary: "", tensors: () => [] };
    const [llama, qwen] = [
      { ...architecture, classes: ["LlamaForCausalLM", "MistralForCausalLM"] },
      { ...architecture, id: "qwen2", classes: ["Qwen2ForCausalLM"] },
    ];
    const registry = createRegistry([{ ...plugin, architectures: [llama, qwen] }]);
    expect(registry.architecture("MistralForCausalLM").value).toBe(llama);
    expect(() => registry.architecture("Qwen3ForCausalLM")).toThrow(
      expect.objectContaining({
        code: "E_ARCHITECTURE",
        message:
          'No registered plugin knows the architecture "Qwen3ForCausalLM". Known: Qwen2ForCausalLM, LlamaForCausalLM, MistralForCausalLM.',
      }),
    );
    const twice = createRegistry([
      { ...plugin, architectures: [llama] },
      { ...other, architectures: [llama] },
    ]);
    expect(() => twice.architecture("LlamaForCausalLM")).toThrow(
      'The architecture "LlamaForCausalLM" is brought by top16 and other.',
    );
  });

  test("refuses another interface version and a plugin given twice", () => {
    expect(() => createRegistry([{ ...plugin, api: 2 as 1 }])).toThrow(
      "top16 is written for plugin interface 2; this version speaks 1.",
    );
    expect(() => createRegistry([plugin, plugin])).toThrow("The plugin top16 is registered twice.");
  });

  test("modules are what workers need and nothing more", () => {
    expect(createRegistry([plugin, { ...other, options: { bits: 3 } }]).modules()).toEqual({
      top16: { url: plugin.module },
      other: { url: plugin.module, options: { bits: 3 } },
    });
  });

  test("a module without a plugin is refused, and one with another name", async () => {
    const url = `data:text/javascript,export default { api: 1, name: "a" }`;
    expect((await importPlugin({ url }, "a")).name).toBe("a");
    await expect(importPlugin({ url }, "b")).rejects.toThrow("exports the plugin a; b was asked for.");
    const thrown = await importPlugin({ url: "data:text/javascript,export const x = 1" }).catch(
      (e: unknown) => e,
    );
    expect(isFewbitError(thrown, "E_PLUGIN_INVALID")).toBe(true);
  });
});
