import { describe, expect, test } from "vitest";
import { type GeneralSources, generalMetadata } from "../src/general-metadata.js";
import { readModelCard } from "../src/model-card.js";

const encode = (text: string): Uint8Array => new TextEncoder().encode(text);
const sources: GeneralSources = {
  card: { entries: new Map() },
  generation: new Map(),
  name: "card",
  isAddress: false,
  weights: { total: 108_352, shared: 108_352, expert: 0, experts: 0 },
};
const general = (more: Partial<GeneralSources>) =>
  generalMetadata({ ...sources, ...more }).map(({ key, type, value }) => [
    key.replace("general.", ""),
    type,
    value,
  ]);

const CARD = `---
license:
- apache-2.0
- mit
license_name: "my-licence"
license_link: LICENSE
language:
- en
- no
- de
tags:
	- llama
	- chat
pipeline_tag: text-generation
base_model:
- meta-llama/Llama-3.2-1B
- https://huggingface.co/org/Other-7b-v0.1
- https://example.org/x
- name: Named
  author: Me
  repo_url: https://example.org/named
datasets: org/data-set-v2
model_creator: Somebody
model_name: Tiny Card
version: "1.5"
model-index:
- name: x
  results: []
---
# A card
license: none
`;

// What llama.cpp's converter writes for the same files.
test("a card, recommended sampling and a name become entries, in the converter's order", () => {
  const entries = general({
    card: readModelCard(encode(CARD)),
    generation: new Map<string, unknown>([
      ["temperature", 0.6],
      ["top_p", 0.9],
      ["top_k", 40],
      ["do_sample", true],
      ["repetition_penalty", 1.1],
      ["min_p", null],
    ]),
    nameOrPath: "me/tiny-instruct-v2",
  });
  expect(entries).toEqual([
    ["type", "string", "model"],
    ["sampling.top_k", "i32", 40],
    ["sampling.top_p", "f32", 0.9],
    ["sampling.temp", "f32", 0.6],
    ["sampling.penalty_repeat", "f32", 1.1],
    ["name", "string", "Tiny Card"],
    ["author", "string", "Somebody"],
    ["version", "string", "1.5"],
    ["organization", "string", "Me"],
    ["finetune", "string", "instruct"],
    ["basename", "string", "tiny"],
    ["size_label", "string", "108K"],
    ["license", "string", "apache-2.0,mit"],
    ["license.name", "string", "my-licence"],
    ["license.link", "string", "LICENSE"],
    ["base_model.count", "u32", 4],
    ["base_model.0.name", "string", "Llama 3.2 1B"],
    ["base_model.0.organization", "string", "Meta Llama"],
    ["base_model.0.repo_url", "string", "https://huggingface.co/meta-llama/Llama-3.2-1B"],
    ["base_model.1.name", "string", "Other 7b v0.1"],
    ["base_model.1.version", "string", "v0.1"],
    ["base_model.1.organization", "string", "Org"],
    ["base_model.1.repo_url", "string", "https://huggingface.co/org/Other-7b-v0.1"],
    ["base_model.2.repo_url", "string", "https://example.org/x"],
    ["base_model.3.name", "string", "Named"],
    ["base_model.3.author", "string", "Me"],
    ["base_model.3.repo_url", "string", "https://example.org/named"],
    ["dataset.count", "u32", 1],
    ["dataset.0.name", "string", "Data Set v2"],
    ["dataset.0.version", "string", "v2"],
    ["dataset.0.organization", "string", "Org"],
    ["dataset.0.repo_url", "string", "https://huggingface.co/org/data-set-v2"],
    ["tags", "array<string>", ["llama", "chat", "text-generation"]],
    ["languages", "array<string>", ["en", "no", "de"]],
  ]);
});

test("without a card the folder's name says what there is to say", () => {
  expect(general({ name: "TinyStories-656K" })).toEqual([
    ["type", "string", "model"],
    ["name", "string", "TinyStories 656K"],
    ["finetune", "string", "656k"],
    ["basename", "string", "TinyStories"],
    ["size_label", "string", "108K"],
  ]);
});

test("an address on a hub is the name; a path on somebody's machine is none", () => {
  expect(general({ name: "org/model-v2", isAddress: true, nameOrPath: "/home/me/x-v3" })).toEqual([
    ["type", "string", "model"],
    ["name", "string", "org/model-v2"],
    ["version", "string", "v2"],
    ["organization", "string", "Org"],
    ["basename", "string", "model"],
    ["size_label", "string", "108K"],
  ]);
});

test("settings of a sampler of another type are left out", () => {
  const generation = new Map<string, unknown>([
    ["top_k", 1.5],
    ["top_p", "0.9"],
    ["temperature", Number.NaN],
    ["mirostat", 2 ** 40],
    ["sequence", ""],
  ]);
  expect(general({ generation }).filter(([key]) => String(key).startsWith("sampling"))).toEqual([]);
});

test("of models and data sets without end the first thousand are told", () => {
  const card = { entries: new Map([["base_model", Array.from({ length: 5000 }, (_, i) => `a/b-${i}`)]]) };
  const keys = general({ card }).map(([key]) => key);
  expect(general({ card })).toContainEqual(["base_model.count", "u32", 1000]);
  expect(keys).toContain("base_model.999.name");
  expect(keys).not.toContain("base_model.1000.name");
});

describe("model cards", () => {
  const entries = (text: string): [string, unknown][] => [...readModelCard(encode(text)).entries];

  test.each([
    ["no front matter", "# A model\nlicense: mit\n"],
    ["an empty file", ""],
    ["front matter that is a list", "---\n- a\n---\n"],
    ["front matter after something else", "\n---\nlicense: mit\n---\n"],
  ])("%s says nothing", (_, text) => {
    expect(entries(text)).toEqual([]);
    expect(readModelCard(encode(text)).warning).toBeUndefined();
  });

  test("front matter may lack its end", () => {
    expect(entries("---\r\nlicense: mit\r\n")).toEqual([["license", "mit"]]);
  });

  test("keys that objects have are keys", () => {
    expect(entries("---\n__proto__:\n  isAdmin: true\nconstructor: x\n---\n")).toEqual([
      ["__proto__", new Map([["isAdmin", true]])],
      ["constructor", "x"],
    ]);
    expect(({} as { isAdmin?: unknown }).isAdmin).toBeUndefined();
  });

  test.each([
    ["what is no YAML", "---\na: [1\n---\n", "README.md: its front matter is no YAML and was left out: "],
    [
      "aliases that grow without end",
      `---\na: &a [x, x, x, x, x, x, x, x, x, x]\n${Array.from({ length: 9 }, (_, i) => `${"bcdefghij"[i]}: &${"bcdefghij"[i]} [${`*${"abcdefghi"[i]}, `.repeat(10)}]`).join("\n")}\n---\n`,
      "README.md: its front matter is no YAML and was left out: Excessive alias count",
    ],
    [
      "an alias that holds itself",
      "---\nlicense: &a [x, *a]\n---\n",
      "README.md: its front matter is no YAML and was left out: An alias holds itself.",
    ],
    ["more than a card can say", `---\na: ${"x".repeat(1 << 20)}\n---\n`, "its front matter is too long"],
  ])("%s is left out with a warning", (_, text, warning) => {
    const card = readModelCard(encode(text));
    expect(card.entries.size).toBe(0);
    expect(card.warning).toContain(warning);
  });
});
