import { copyFileSync, readFileSync, truncateSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { createEngine } from "../../../tooling/engine.js";
import { sharedFolder } from "../../../tooling/golden.js";
import { folder, makeModel, shape, stories } from "./models.js";
import { build, run } from "./run.js";

describe.skipIf(build === undefined)("a model", () => {
  test("says what it is", async () => {
    const [facts] = await run(function* (host, path) {
      const model = host.load(path);
      const { description, parameters, bytes, vocabulary, trainedContext, embedding, layers } = model;
      const { addsBos, addsEos, bos, eos } = model;
      yield {
        ...{ description, parameters, bytes, vocabulary, trainedContext, embedding, layers },
        ...{ addsBos, addsEos, bos, eos, path: model.path, spelling: model.token(bos!) },
        template: model.applyTemplate([{ role: "user", content: "Hello" }], true),
      };
    }, stories);
    expect(facts).toEqual({
      path: stories,
      description: "llama ?B F16",
      parameters: 3_737_856,
      bytes: 7_480_320,
      vocabulary: 2304,
      trainedContext: 512,
      embedding: 256,
      layers: 4,
      addsBos: true,
      addsEos: false,
      bos: 1,
      eos: 2,
      spelling: "<|start_story|>",
      template: undefined,
    });
  });

  test("is run by the pinned release, on the processor", async () => {
    const [host] = await run(function* ({ version, devices }) {
      yield { version, devices };
    }, undefined);
    expect(host!.version).toMatch(/^llama\.cpp v0\.5\.0/);
    expect(host!.devices[0]).toMatch(/^CPU: ./);
  });

  test("gives back the text that it tokenizes, with the vocabulary alone", async () => {
    const text = "One day, Tom and Sue saw a big \u{1F436} in the park.\nNUL: \0, and the end";
    const [read] = await run(
      function* (host, { path, text }) {
        const model = host.load(path, { vocabularyOnly: true });
        const tokens = model.tokenize(text, false, false);
        yield {
          tokens,
          text: model.detokenize(tokens),
          withBos: model.tokenize("a", true, false),
          spelled: model.tokenize("<|start_story|>", false, true),
          empty: model.tokenize("", false, false).length,
        };
      },
      { path: stories, text },
    );
    expect(read!.text.trimStart()).toBe(text);
    expect(read!.withBos[0]).toBe(1);
    expect([...read!.spelled]).toEqual([1]);
    expect(read!.empty).toBe(0);
  });

  for (const name of ["llama-spm", "gpt-2"])
    test.skipIf(sharedFolder === undefined)(
      `tokenizes llama.cpp's own examples with the vocabulary ${name} (needs the shared folder)`,
      async () => {
        const path = `${sharedFolder}/vocab/ggml-vocab-${name}.gguf`;
        const texts = readFileSync(`${path}.inp`, "utf8").split("\n__ggml_vocab_test__\n");
        const expected = readFileSync(`${path}.out`, "utf8")
          .split("\n")
          .map((line) => line.trim().split(/\s+/).filter(Boolean).map(Number));
        const found = await run(
          function* (host, { path, texts }) {
            const model = host.load(path, { vocabularyOnly: true });
            for (const text of texts) yield [...model.tokenize(text, false, false)];
          },
          { path, texts },
        );
        expect(texts.length).toBeGreaterThan(40);
        expect(found).toEqual(expected.slice(0, found.length));
      },
    );

  test("continues a text as node-llama-cpp does", async () => {
    const engine = await createEngine();
    const expected = await engine.generate(stories, "Once upon a time", 40).finally(() => engine.dispose());
    const [found] = await run(function* (host, path) {
      const model = host.load(path);
      const context = model.context({ size: 256, threads: 1 });
      let tokens = model.tokenize("Once upon a time", true, false);
      const out: number[] = [];
      while (out.length < 40) {
        context.decode({ tokens });
        const logits = context.logits(tokens.length - 1);
        const best = logits.indexOf(logits.reduce((a, b) => Math.max(a, b)));
        out.push(best);
        tokens = Int32Array.of(best);
      }
      yield out;
    }, stories);
    expect(found).toEqual(expected.tokens);
  });

  test("gives the same logits token by token, in one batch, and in another sequence", async () => {
    const [difference] = await run(function* (host, path) {
      const model = host.load(path);
      const tokens = model.tokenize("Once upon a time there was a little dog", true, false);
      const count = tokens.length;
      const single = model.context({ size: 64, threads: 1 });
      const rows = [...tokens].map((token) => {
        single.decode({ tokens: Int32Array.of(token) });
        return single.logits(0).slice();
      });
      const both = model.context({ size: 512, sequences: 2, threads: 1 });
      // The second sequence comes first in the batch, and only every other token of it asks for logits.
      const batch = {
        tokens: Int32Array.of(...tokens, ...tokens),
        positions: Int32Array.from({ length: 2 * count }, (_, i) => i % count),
        sequences: Int32Array.from({ length: 2 * count }, (_, i) => (i < count ? 1 : 0)),
        logits: Uint8Array.from({ length: 2 * count }, (_, i) => (i < count ? i % 2 : 1)),
      };
      both.decode(batch);
      let worst = 0;
      for (let i = 0; i < 2 * count; i++) {
        if (batch.logits[i] === 0) continue;
        const found = both.logits(i);
        const expected = rows[i % count]!;
        for (let j = 0; j < expected.length; j++) worst = Math.max(worst, Math.abs(found[j]! - expected[j]!));
      }
      yield worst;
    }, stories);
    expect(difference).toBeLessThan(0.02); // The cache holds halves, and sums are taken in another order.
    expect(difference).toBeGreaterThan(0);
  });

  test("keeps keys and values exactly, where asked to", async () => {
    const [distance] = await run(function* (host, path) {
      const model = host.load(path);
      const tokens = model.tokenize("Once upon a time there was a little dog", true, false);
      const last = (cache: "F16" | "F32", oneByOne: boolean): Float32Array => {
        const context = model.context({ size: 64, threads: 1, cache });
        if (!oneByOne) context.decode({ tokens });
        else for (const token of tokens) context.decode({ tokens: Int32Array.of(token) });
        return context.logits(oneByOne ? 0 : tokens.length - 1).slice();
      };
      const apart = (a: Float32Array, b: Float32Array): number =>
        a.reduce((most, x, i) => Math.max(most, Math.abs(x - b[i]!)), 0);
      yield {
        caches: apart(last("F16", true), last("F32", true)),
        batches: apart(last("F32", false), last("F32", true)),
      };
    }, stories);
    expect(distance!.caches).toBeGreaterThan(0);
    expect(distance!.batches).toBeLessThan(1e-2);
  });

  test("shows logits where they lie, without a copy", async () => {
    const [seen] = await run(function* (host, path) {
      const model = host.load(path);
      const context = model.context({ size: 64, threads: 1 });
      const tokens = Int32Array.from({ length: 32 }, (_, i) => i);
      context.decode({ tokens, logits: new Uint8Array(32).fill(1) });
      const [first, last] = [context.logits(0), context.logits(31)];
      const before = last[0]!;
      last[0] = before + 1;
      yield {
        length: first.length,
        apart: last.byteOffset - first.byteOffset,
        sameBuffer: first.buffer === last.buffer,
        written: context.logits(31)[0]! - before,
      };
    }, stories);
    expect(seen).toEqual({ length: 2304, apart: 31 * 2304 * 4, sameBuffer: true, written: 1 });
  });

  test("can be forgotten, and closed with its contexts", async () => {
    const [read] = await run(function* (host, path) {
      const model = host.load(path);
      const context = model.context({ size: 64, threads: 1 });
      const tokens = model.tokenize("The cat", true, false);
      const fresh = (): Float32Array => {
        context.decode({ tokens });
        return context.logits(tokens.length - 1).slice();
      };
      const first = fresh();
      context.clear();
      const again = fresh();
      const longer = fresh(); // After itself.
      model.close();
      model.close();
      let message = "";
      try {
        context.decode({ tokens });
      } catch (error) {
        message = (error as Error).message;
      }
      yield { same: first.every((x, i) => x === again[i]), other: longer[0] !== first[0], message };
    }, stories);
    expect(read).toEqual({ same: true, other: true, message: "The context was closed." });
  });

  test("writes conversations by its own template, where llama.cpp knows it", async () => {
    const chatml =
      "{% for message in messages %}{{'<|im_start|>' + message['role'] + '\\n' + message['content'] + '<|im_end|>' + '\\n'}}{% endfor %}";
    const paths = [
      makeModel("chat", { template: chatml }).path,
      makeModel("strange", { template: "{{ messages }} in a way of its own" }).path,
    ];
    const texts = await run(function* (host, paths) {
      const long = "\u{1F600}".repeat(2000); // More bytes than characters.
      for (const path of paths) {
        const model = host.load(path);
        yield model.applyTemplate(
          [
            { role: "system", content: "Be brief." },
            { role: "user", content: "Who are you? Wer bist du? ¿Quién eres?" },
          ],
          true,
        );
        yield model.applyTemplate([{ role: "user", content: long }], false)?.includes(`${long}<|im_end|>`);
      }
    }, paths);
    expect(texts).toEqual([
      "<|im_start|>system\nBe brief.<|im_end|>\n<|im_start|>user\nWho are you? Wer bist du? ¿Quién eres?<|im_end|>\n<|im_start|>assistant\n",
      true,
      undefined,
      undefined,
    ]);
  });

  test("without a vocabulary says so", async () => {
    const { path } = makeModel("mute");
    for (const read of ["token(1)", "tokenize('a', false, false)", "detokenize([1])"])
      await expect(
        run(
          function* (host, { path, read }) {
            yield new Function("model", `return model.${read}`)(host.load(path));
          },
          { path, read },
        ),
      ).rejects.toMatchObject({
        code: "E_ENGINE_LOAD",
        message: "The model has no vocabulary: it cannot read or write texts.",
        at: { file: path },
      });
  });

  test("runs beside another one", async () => {
    const { path } = makeModel("beside");
    const [read] = await run(
      function* (host, paths) {
        const contexts = paths.map((path) => host.load(path).context({ size: 64, threads: 1 }));
        const tokens = Int32Array.of(3, 4, 5);
        for (const context of contexts) context.decode({ tokens });
        yield contexts.map((context) => context.logits(2).length);
      },
      [stories, path],
    );
    expect(read).toEqual([2304, shape.vocabulary]);
  });

  test("with NaN among its weights puts out NaN, and nothing worse happens", async () => {
    const { path } = makeModel("nan", {
      edit: (name, weights) => {
        if (name === "blk.0.attn_q.weight") weights[5] = Number.NaN;
      },
    });
    const [bad] = await run(function* (host, path) {
      const context = host.load(path).context({ size: 64, threads: 1 });
      context.decode({ tokens: Int32Array.of(1, 2, 3) });
      yield context.logits(2).some(Number.isNaN);
    }, path);
    expect(bad).toBe(true);
  });
});

describe.skipIf(build === undefined)("what cannot be loaded", () => {
  const load = (path: string) =>
    run(function* (host, path) {
      yield host.load(path).vocabulary;
    }, path);

  test("a file that is none of a model", async () => {
    const path = join(folder, "letter.gguf");
    writeFileSync(path, "Dear reader, this is not a model.");
    await expect(load(path)).rejects.toMatchObject({
      code: "E_ENGINE_LOAD",
      message: "llama.cpp cannot load the model: invalid magic characters: 'Dear', expected 'GGUF'",
      at: { file: path },
      remedy: expect.stringContaining("fewbit inspect"),
    });
  });

  test("a file that is not there", async () => {
    const path = join(folder, "absent.gguf");
    await expect(load(path)).rejects.toMatchObject({
      code: "E_IO",
      message: expect.stringMatching(/^opening failed: .*\(ENOENT\)$/),
      at: { file: path },
    });
  });

  test("a truncated file", async () => {
    const path = join(folder, "short.gguf");
    copyFileSync(stories, path);
    truncateSync(path, 4_000_000);
    await expect(load(path)).rejects.toMatchObject({
      code: "E_ENGINE_LOAD",
      message: expect.stringMatching(/tensor '.*' data is not within the file bounds/),
    });
  });

  test("a model that lacks a tensor", async () => {
    const path = join(folder, "lacking.gguf");
    const bytes = readFileSync(makeModel("whole").path);
    bytes.write("blk.0.attn_x.weight", bytes.indexOf("blk.0.attn_q.weight"));
    writeFileSync(path, bytes);
    await expect(load(path)).rejects.toMatchObject({
      code: "E_ENGINE_LOAD",
      message: "llama.cpp cannot load the model: tensor 'blk.0.attn_q.weight' not found",
    });
  });
});

describe.skipIf(build === undefined)("what cannot be computed", () => {
  const decode = (batch: object) =>
    run(
      function* (host, { path, batch }) {
        const context = host.load(path).context({ size: 256, batch: 128, threads: 1 });
        const { times = 1, ...rest } = batch as { times?: number; tokens: Int32Array };
        for (let i = 0; i < times; i++) context.decode(rest);
        yield context.logits(0).length;
      },
      { path: stories, batch },
    );
  const failure = (message: string) => ({
    code: "E_ENGINE_DECODE",
    message: `llama.cpp cannot compute the batch: ${message}`,
    at: { file: stories },
  });

  test("a batch of no token, or of too many", async () => {
    await expect(decode({ tokens: new Int32Array(0) })).rejects.toMatchObject(
      failure("0 tokens were given; a batch has 1 to 128."),
    );
    await expect(decode({ tokens: new Int32Array(129) })).rejects.toMatchObject(
      failure("129 tokens were given; a batch has 1 to 128."),
    );
  });

  test("positions of other tokens", async () => {
    await expect(decode({ tokens: Int32Array.of(1, 2), positions: Int32Array.of(0) })).rejects.toMatchObject(
      failure("2 tokens have 1 positions."),
    );
  });

  test("a token that the vocabulary has not", async () => {
    await expect(decode({ tokens: Int32Array.of(1, 2304) })).rejects.toMatchObject(
      failure("invalid token[1] = 2304"),
    );
  });

  test("more tokens than the context has room for", async () => {
    await expect(decode({ tokens: new Int32Array(128), times: 3 })).rejects.toMatchObject(
      failure("there is no room for 128 more tokens in a context of 256."),
    );
  });

  test("leaves no logits behind, not even those of the batch before", async () => {
    const left = run(function* (host, path) {
      const context = host.load(path).context({ size: 256, threads: 1 });
      const tokens = new Int32Array(200);
      const all = new Uint8Array(200).fill(1);
      context.decode({ tokens, logits: all });
      try {
        context.decode({ tokens, logits: all });
      } catch {
        yield context.logits(150).length;
      }
    }, stories);
    await expect(left).rejects.toMatchObject(
      failure("no logits were asked for after token 150 of the batch."),
    );
  });

  test("logits that were not asked for", async () => {
    await expect(decode({ tokens: Int32Array.of(1, 2) })).rejects.toMatchObject(
      failure("no logits were asked for after token 0 of the batch."),
    );
  });
});
