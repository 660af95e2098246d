import { createRegistry, definePlugin, type Recipe, type Scheme } from "@fewbit/core";
import { describe, expect, test } from "vitest";
import {
  chooseRecipe,
  outputOf,
  parseLayers,
  parseTensorType,
  parseThreads,
  readArguments,
  stemOf,
} from "../src/choices.js";

const isType = (word: string): boolean => ["Q4_K_M", "Q8_0"].includes(word.toUpperCase());

describe("arguments after the model", () => {
  test.each([
    [["Q4_K_M"], undefined, { type: "Q4_K_M" }],
    [["q8_0", "4"], undefined, { type: "q8_0", threads: 4 }],
    [["out.gguf", "Q8_0"], undefined, { type: "Q8_0", output: "out.gguf" }],
    [["out.gguf", "Q8_0", "2"], undefined, { type: "Q8_0", output: "out.gguf", threads: 2 }],
    [[], "Q8_0", { type: "Q8_0" }],
    [["out.gguf"], "Q8_0", { type: "Q8_0", output: "out.gguf" }],
    // A file may be called like a type when --type says which is which.
    [["Q4_K_M"], "Q8_0", { type: "Q8_0", output: "Q4_K_M" }],
    // A misspelt type is reported as a type.
    [["Q4_K_X"], undefined, { type: "Q4_K_X" }],
  ] as const)("%j with --type %s", (rest, type, expected) => {
    expect(readArguments(rest, type, isType)).toEqual(expected);
  });

  test.each([
    [[], undefined, "No type is given."],
    [["out.gguf"], undefined, "No type is given for out.gguf."],
    [["out.gguf", "4"], "Q8_0", '"4" is one argument too many.'],
    [["out.gguf", "Q8_0", "2", "x"], undefined, '"x" is one argument too many.'],
    [["out.gguf", "Q8_0", "two"], undefined, '"two" is no number of threads.'],
  ] as const)("%j with --type %s is refused", (rest, type, message) => {
    expect(() => readArguments(rest, type, isType)).toThrow(message);
  });
});

describe("--tensor-type", () => {
  test("keeps case and takes the last =", () => {
    expect(parseTensorType("blk\\.(0|1)\\.ffn_Down=Q6_K")).toEqual({
      pattern: "blk\\.(0|1)\\.ffn_Down",
      scheme: "Q6_K",
    });
    expect(parseTensorType("(?=ffn)=q8_0")).toEqual({ pattern: "(?=ffn)", scheme: "q8_0" });
  });

  test.each([["attn_v"], ["=Q6_K"], ["attn_v="]])("%s is refused", (text) => {
    expect(() => parseTensorType(text)).toThrow(`"${text}" is no tensor type.`);
  });

  test("an expression that is none is refused", () => {
    expect(() => parseTensorType("attn_(v=Q6_K")).toThrow('"attn_(v" is no regular expression');
  });
});

test("--prune-layers sorts and drops repeats", () => {
  expect(parseLayers("3, 1,1,20")).toEqual([1, 3, 20]);
  for (const text of ["", "1,", "a", "-1", "1.5"])
    expect(() => parseLayers(text)).toThrow("is no number of a layer");
});

test("--threads is a whole number from 1", () => {
  expect(parseThreads("12")).toBe(12);
  for (const text of ["0", "-1", "1.5", "x", ""])
    expect(() => parseThreads(text)).toThrow("is no number of threads");
});

test("the output is called after the model and the type", () => {
  const named = (model: string, type = "Q4_K_M"): string =>
    outputOf(stemOf(model, [".gguf"], "/here"), type, { extensions: [".gguf"] });
  expect(named("a/tiny-f16.gguf")).toBe("a/tiny-f16-Q4_K_M.gguf");
  expect(named("a/llama-3.1.GGUF")).toBe("a/llama-3.1-Q4_K_M.gguf");
  expect(named("a/big-00001-of-00007.gguf")).toBe("a/big-Q4_K_M.gguf");
  expect(named("https://example.org/x/big%2Ff16.gguf?download=1")).toBe("/here/big_f16-Q4_K_M.gguf");
  expect(named("https://example.org/100%.gguf")).toBe("/here/100%-Q4_K_M.gguf");
  expect(named("tiny", "my-scheme:INT6")).toBe("tiny-INT6.gguf");
});

describe("choosing a recipe", () => {
  const recipe = (id: string): Recipe => ({ id, summary: "", base: "A", assign: () => [] });
  const scheme = (id: string): Scheme => ({
    id,
    summary: "",
    symmetry: "none",
    granularity: "block",
    importance: "ignored",
    passes: 1,
    minSqnr: 0,
    layout: () => [],
    load: () => Promise.reject(new Error("unused")),
  });
  const plugin = (name: string, schemes: string[], recipes: string[]) =>
    definePlugin({
      api: 1,
      name,
      version: "1",
      module: "x:",
      schemes: schemes.map(scheme),
      recipes: recipes.map(recipe),
    });
  const registry = createRegistry([plugin("one", ["A", "C"], ["R", "A"]), plugin("two", ["C", "D"], [])]);
  const choose = (type: string): string => chooseRecipe(type, registry, (id) => recipe(`only ${id}`)).id;

  test("recipe first, then scheme, however written", () => {
    expect(choose("r")).toBe("R");
    expect(choose("a")).toBe("A");
    expect(choose("d")).toBe("only D");
    expect(choose("two:c")).toBe("only two:C");
  });

  test("what two plugins bring must be qualified", () => {
    expect(() => choose("C")).toThrow('The scheme "C" is brought by one and two.');
  });

  test("an unknown one lists the nearest", () => {
    expect(() => choose("RR")).toThrow('No registered plugin brings a recipe "RR". Registered: R, A.');
  });
});
