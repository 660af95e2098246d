// Whether a comparison finds what is wrong, and says what it could not compare.
import { type Engine, FewbitError, type MetadataEntry } from "@fewbit/core";
import { describe, expect, test } from "vitest";
import type { CheckInput, CheckStep } from "../../src/check/check-task.js";
import { checkTokenizer, type TokenizerCheckOptions } from "../../src/check/index.js";
import { engine } from "../tiny/engine.js";
import { type Contents, entryValue, inMemory, read, vocabularyFile } from "./files.js";
import { byteLevel, characterLevel } from "./sources.js";

const changed = (entries: readonly MetadataEntry[], key: string, change: (value: unknown) => unknown) =>
  entries.map((entry) => (entry.key === key ? { ...entry, value: change(entry.value) } : entry));

async function check(
  contents: Contents,
  change: (entries: readonly MetadataEntry[]) => readonly MetadataEntry[] = (entries) => entries,
  by: Engine = engine,
  more: Partial<TokenizerCheckOptions> = {},
) {
  const files = inMemory(contents);
  const entries = change((await read(files, "llama", "smaug-bpe")).entries);
  const model = vocabularyFile(entries);
  return checkTokenizer({ files, model, metadata: entries, engine: by, random: 20, ...more });
}

describe("tokens", () => {
  test("another pre-tokenizer is found, with the first token that differs", async () => {
    const {
      differences,
      kinds,
      engine: version,
    } = await check(byteLevel(), (entries) => changed(entries, "tokenizer.ggml.pre", () => "qwen2"));
    expect(version).toMatch(/^llama\.cpp v/);
    expect(differences.length).toBeGreaterThan(20);
    expect(differences.every(({ because }) => because === undefined)).toBe(true);
    const numbers = differences.filter(({ kind }) => kind === "numbers");
    expect(kinds.find(({ kind }) => kind === "numbers")).toMatchObject({ differing: numbers.length });
    for (const { source, engine: own, at } of differences) {
      expect(source.slice(0, at)).toEqual(own!.slice(0, at));
      expect(source[at]).not.toBe(own![at]);
    }
  });

  test("two tokens that changed places are found", async () => {
    const { differences } = await check(byteLevel(), (entries) =>
      changed(entries, "tokenizer.ggml.tokens", (tokens) => {
        const [first, second, ...rest] = tokens as string[];
        return [second, first, ...rest];
      }),
    );
    expect(differences.length).toBeGreaterThan(0);
    expect(differences[0]!.because).toBeUndefined();
  });

  test("a text that ends the engine's process is told, and the others are compared all the same", async () => {
    const asked: number[] = [];
    const deadly = (text: string): boolean => text.includes("café") || text === "\t";
    const dying: Engine = {
      ...engine,
      async *run<Output>(...[task, input, options]: Parameters<Engine["run"]>) {
        const { texts } = input as CheckInput;
        asked.push(texts.length);
        const end = texts.findIndex(deadly);
        const spared = end < 0 ? texts : texts.slice(0, end);
        yield* engine.run<Output>(task, { ...(input as CheckInput), texts: spared }, options);
        if (end >= 0) throw new FewbitError("E_ENGINE_DIED", "The process ended.");
      },
    };
    const { differences, texts } = await check(byteLevel(), undefined, dying);
    expect(asked.length).toBeGreaterThanOrEqual(3);
    expect(asked[0]).toBe(texts);
    expect(differences.length).toBe(asked.length - 1);
    for (const { text, engine: own, because } of differences) {
      expect(deadly(text)).toBe(true);
      expect(own).toBeUndefined();
      expect(because).toMatch(/^llama\.cpp ends its process/);
    }
  });

  test("an engine that dies before the first text is no difference", async () => {
    const dead: Engine = {
      ...engine,
      // biome-ignore lint/correctness/useYield: it comes to nothing
      async *run() {
        throw new FewbitError("E_ENGINE_DIED", "The process ended.");
      },
    };
    await expect(check(byteLevel(), undefined, dead)).rejects.toMatchObject({ code: "E_ENGINE_DIED" });
  });

  test("a vocabulary without bytes: one text is tried, the others of its kind are spared", async () => {
    const contents = characterLevel();
    const root = contents["tokenizer.json"] as { model: { vocab: Record<string, number> } };
    const vocab = Object.fromEntries(
      Object.entries(root.model.vocab)
        .filter(([token]) => !/^<0x/.test(token))
        .sort(([, a], [, b]) => a - b)
        .map(([token], id) => [token, id]),
    );
    let runs = 0;
    const counting: Engine = {
      ...engine,
      run: <Output>(...args: Parameters<Engine["run"]>) => {
        runs++;
        return engine.run<Output>(...args);
      },
    };
    const { differences } = await check(
      {
        ...contents,
        "config.json": { vocab_size: Object.keys(vocab).length },
        "tokenizer.json": { ...root, model: { ...root.model, vocab } },
      },
      undefined,
      counting,
    );
    expect(runs).toBe(1);
    expect(new Set(differences.map(({ because }) => because))).toEqual(
      new Set([
        "llama.cpp ends its process at characters that the vocabulary has neither as tokens nor as bytes",
      ]),
    );
  });
});

describe("chat templates", () => {
  const CHATML =
    "{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\\n' + message['content'] + '<|im_end|>' + '\\n' }}{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}";
  const withTemplate = (chat_template: string): Contents => {
    const contents = byteLevel();
    return {
      ...contents,
      "tokenizer_config.json": { ...(contents["tokenizer_config.json"] as object), chat_template },
    };
  };

  test("are rendered alike", async () => {
    const { templateKept, templates, notes } = await check(withTemplate(CHATML));
    expect(templateKept).toBe(true);
    expect(templates.map(({ conversation, same }) => [conversation, same])).toEqual([
      ["a question", true],
      ["instructions and a question", true],
      ["three turns", true],
      ["a finished conversation", true],
    ]);
    expect(templates[0]!.source).toBe("<|im_start|>user\nWhat is 2 + 2?<|im_end|>\n<|im_start|>assistant\n");
    expect(notes).toEqual([]);
  });

  test("a template that only looks like one that llama.cpp knows", async () => {
    const { templates } = await check(withTemplate(CHATML.replace("'<|im_end|>'", "'<|im_end|>!'")));
    expect(templates.map(({ same }) => same)).toEqual([false, false, false, false]);
    expect(templates[0]!.source).toContain("<|im_end|>!");
    expect(templates[0]!.engine).not.toContain("<|im_end|>!");
  });

  test("one that llama.cpp's functions do not know is kept, and not rendered there", async () => {
    const { templateKept, templates, notes } = await check(
      withTemplate("{% for m in messages %}{{ m.role }}: {{ m.content }};{% endfor %}"),
    );
    expect(templateKept).toBe(true);
    expect(templates.map(({ same }) => same)).toEqual([undefined, undefined, undefined, undefined]);
    expect(notes).toEqual([
      "llama.cpp's library does not know this chat template by its looks, so that it was not rendered there: programs that read templates themselves are not affected.",
    ]);
  });

  test("one that refuses a conversation says why", async () => {
    const refusing = `{% if messages[0].role == 'system' %}{{ raise_exception('System role not supported') }}{% endif %}${CHATML}`;
    const { templates } = await check(withTemplate(refusing));
    expect(templates[1]).toMatchObject({
      source: undefined,
      refused: "System role not supported",
      same: undefined,
    });
    expect(templates[0]!.same).toBe(true);
  });

  test("a lost or changed one is found", async () => {
    const { templateKept } = await check(withTemplate(CHATML), (entries) =>
      changed(entries, "tokenizer.chat_template", (text) => `${text} `),
    );
    expect(templateKept).toBe(false);
  });

  test("one without end is not waited for", async () => {
    const endless = `{% for a in range(100000) %}{% for b in range(100000) %}{% endfor %}{% endfor %}${CHATML}`;
    const patient = await check(withTemplate(endless), undefined, engine, { patience: 500 });
    expect(patient).toMatchObject({ templateKept: true, templates: [] });
    expect(patient.notes).toEqual([
      "The chat template takes too long to render, or too much memory, and was not compared.",
    ]);
    expect(patient.texts).toBeGreaterThan(100);
  });

  test("a malformed one is an error with its place", async () => {
    await expect(check(withTemplate("{% for %}"))).rejects.toMatchObject({
      code: "E_TOKENIZER",
      message: expect.stringMatching(/^The chat template is malformed: /),
      at: { file: "tokenizer_config.json", key: "chat_template" },
    });
  });
});

test("the task yields what the comparison expects", async () => {
  const { entries } = await read(inMemory(byteLevel()));
  const steps: CheckStep[] = [];
  const task = { url: new URL("../../src/check/check-task.js", import.meta.url).href };
  const input: CheckInput = {
    model: vocabularyFile(entries),
    texts: ["a"],
    special: true,
    conversations: [],
  };
  for await (const step of engine.run<CheckStep>(task, input)) steps.push(step);
  expect(steps).toEqual([
    {
      engine: expect.stringMatching(/^llama/),
      vocabulary: (entryValue(entries, "tokens") as string[]).length,
    },
    { rendered: [] },
    { ids: expect.any(Int32Array) },
  ]);
});
