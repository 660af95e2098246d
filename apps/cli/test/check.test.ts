// What a conversion says of its tokens and chat template, compared with the checkpoint's own.
import { join } from "node:path";
import { beforeAll, describe, expect, test } from "vitest";
import { writeCheckpoint } from "./checkpoint.js";
import { runHere } from "./command-line.js";
import { temporaryFolder } from "./temporary.js";

const folder = temporaryFolder();
process.chdir(folder);
const run = (...args: string[]) => runHere(args, folder);

const visible = (byte: number): boolean =>
  (byte >= 0x21 && byte <= 0x7e) || (byte >= 0xa1 && byte <= 0xac) || byte >= 0xae;
let next = 0x100;
const bytes = Array.from({ length: 256 }, (_, byte) => String.fromCharCode(visible(byte) ? byte : next++));
/** Four digits are a word, which no pre-tokenizer of llama.cpp has. */
const FOURS =
  "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}{1,4}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+";
const CHATML =
  "{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\\n' + message['content'] + '<|im_end|>' + '\\n' }}{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}";

const tokenizer = (pattern: string): string => {
  const tokens = [...bytes, "12", "123", "1234", "he"];
  return JSON.stringify({
    added_tokens: [{ id: tokens.length, content: "<|end|>", special: true, normalized: false }],
    normalizer: null,
    pre_tokenizer: {
      type: "Sequence",
      pretokenizers: [
        { type: "Split", pattern: { Regex: pattern }, behavior: "Isolated", invert: false },
        { type: "ByteLevel", add_prefix_space: false, use_regex: false },
      ],
    },
    post_processor: null,
    decoder: { type: "ByteLevel" },
    model: {
      type: "BPE",
      vocab: Object.fromEntries(tokens.map((token, id) => [token, id])),
      merges: ["1 2", "12 3", "123 4", "h e"],
    },
  });
};

beforeAll(() => {
  const settings = (chat_template: string): string =>
    JSON.stringify({ eos_token: "<|end|>", bos_token: "<|end|>", chat_template });
  writeCheckpoint(join(folder, "plain"));
  writeCheckpoint(join(folder, "threes"), {
    files: {
      "tokenizer.json": tokenizer(FOURS.replace("{1,4}", "{1,3}")),
      "tokenizer_config.json": settings(CHATML),
    },
  });
  writeCheckpoint(join(folder, "fours"), {
    files: { "tokenizer.json": tokenizer(FOURS), "tokenizer_config.json": settings(CHATML) },
  });
});

describe("fewbit convert --check", () => {
  test("says how many texts become the same tokens, and succeeds where all are", async () => {
    const { status, stdout, stderr } = await run("convert", "plain", "-o", "plain.gguf", "--check");
    expect({ status, stderr }).toEqual({ status: 0, stderr: "" });
    expect(stdout).toMatch(
      /\ntokens: all \d{4} test texts become the same tokens in llama\.cpp \S+ \(\S+\) and in the checkpoint's own tokenizer\n/,
    );
    expect(stdout).not.toContain("chat template");
  });

  test("renders the chat template", async () => {
    const { status, stdout, stderr } = await run("convert", "threes", "-o", "threes.gguf", "--check");
    expect(status).toBe(0);
    expect(stdout).toContain(
      "\nchat template: kept letter for letter; 4 of 4 conversations rendered alike by the function of llama.cpp that knows templates by their looks\n",
    );
    expect(stderr).toMatch(
      /^warning: The pre-tokenizer is not known by name, but splits \d+ texts of all kinds as smaug-bpe does/,
    );
  });

  test("a pre-tokenizer that none is like is refused, with what to do", async () => {
    const { status, stdout, stderr } = await run("convert", "fours", "-o", "no.gguf");
    expect({ status, stdout }).toEqual({ status: 3, stdout: "" });
    expect(stderr).toMatch(
      /^error\[E_PRETOKENIZER\] \S*tokenizer\.json: No pre-tokenizer of llama\.cpp splits texts as this tokenizer does\. .* \(pre_tokenizer\)\. Take one of them nevertheless, such as --pre-tokenizer \S+, and see with --check what it costs\.\n$/,
    );
  });

  const chosen = ["convert", "fours", "-o", "fours.gguf", "--force", "--pre-tokenizer", "llama-bpe"];

  test("shows the first differences, and fails where it was asked for", async () => {
    const { status, stdout, stderr } = await run(...chosen, "--check");
    expect(status).toBe(3);
    expect(stdout).toMatch(/\ntokens: \d+ of \d{4} test texts .*\n {2}\d+ do not, for no known reason:\n/);
    expect(stdout).toMatch(/\n {4}numbers, "1234": 258 by the checkpoint, 257 52 by llama\.cpp\n/);
    expect(stdout).toMatch(/\n {4}and \d+ more; --json has all\n/);
    expect(stderr).toMatch(
      /error\[E_PARITY\] \S*fours\.gguf: The converted model does not do with texts what its checkpoint does; see above\. Report it/,
    );
  });

  test("--json has every difference in its one document", async () => {
    const { status, stdout } = await run(...chosen, "--check", "--json");
    expect(status).toBe(3);
    const { check } = JSON.parse(stdout);
    expect(check.same).toBe(false);
    const numbers = check.kinds.find(({ kind }: { kind: string }) => kind === "numbers");
    expect(check.differences.filter(({ kind }: { kind: string }) => kind === "numbers")).toHaveLength(
      numbers.differing,
    );
    expect(check.differences.find(({ text }: { text: string }) => text === "1234")).toEqual({
      kind: "numbers",
      text: "1234",
      source: [258],
      engine: [257, 52],
      at: 0,
    });
  });

  test("only tells where nobody asked, and --no-check compares nothing", async () => {
    const told = await run(...chosen);
    expect(told.status).toBe(0);
    expect(told.stdout).toContain("\n    numbers, ");
    const silent = await run(...chosen, "--no-check");
    expect(silent.status).toBe(0);
    expect(silent.stdout).not.toContain("tokens: ");
  });
});
