// Proof that a GGUF file's tokenizer is the source's: the same texts through both.
import { type Engine, FewbitError, isFewbitError, type MetadataEntry } from "@fewbit/core";
import type { CheckpointFiles } from "../checkpoint.js";
import { readChatTemplates } from "../tokenizer/chat-template.js";
import { type Definition, definitionOfModel, namedToken, readDefinition } from "../tokenizer/definition.js";
import { createEncoder } from "../tokenizer/encoder.js";
import { REMEDY } from "../tokenizer/json.js";
import { tokenType } from "../tokenizer/vocabulary.js";
import type { CheckInput, CheckStep } from "./check-task.js";
import { conversations, refuseMalformed } from "./conversations.js";
import { fuzzCorpus } from "./corpus.js";
import { knownReasons } from "./reasons.js";
import type { Rendering, TemplateInput } from "./template-task.js";

/** What to compare, and by which engine. */
export interface TokenizerCheckOptions {
  /** The checkpoint's files. */
  readonly files: CheckpointFiles;
  /** The GGUF file. */
  readonly model: string;
  /** Its metadata. */
  readonly metadata: readonly MetadataEntry[];
  readonly engine: Engine;
  readonly signal?: AbortSignal;
  /** Random texts of each kind; 200 when absent. */
  readonly random?: number;
  /** Milliseconds that the source's chat template may take; 10 000 when absent. */
  readonly patience?: number;
}

/** A text that the two tokenizers cut differently. */
export interface TokenDifference {
  readonly kind: string;
  readonly text: string;
  readonly source: readonly number[];
  /** Undefined where llama.cpp ends its process on the text. */
  readonly engine?: readonly number[];
  /** Of the first token that is another one. */
  readonly at: number;
  /** A known reason. */
  readonly because?: string;
}

/** One conversation through both templates. */
export interface TemplateCheck {
  readonly conversation: string;
  /** Undefined where the template refuses the conversation. */
  readonly source: string | undefined;
  /** Why it does. */
  readonly refused?: string;
  /** Undefined where llama.cpp's own functions do not know the template. */
  readonly engine: string | undefined;
  readonly same: boolean | undefined;
}

/** What a comparison found. */
export interface TokenizerCheck {
  readonly engine: string;
  /** What the source's tokens were taken from. */
  readonly source: string;
  readonly kinds: readonly { readonly kind: string; readonly texts: number; readonly differing: number }[];
  readonly texts: number;
  readonly differences: readonly TokenDifference[];
  /** Whether the file has the source's template, letter for letter; undefined where the source has none. */
  readonly templateKept: boolean | undefined;
  readonly templates: readonly TemplateCheck[];
  /** What could not be compared, as sentences. */
  readonly notes: readonly string[];
}

/** Spellings of special tokens that are put into texts. */
const SPECIALS = 12;
const PATIENCE = 10_000;

/**
 * @throws `E_TOKENIZER` where the source has no tokenizer that can be run; what the engine throws, but for a process
 * that a text ended
 */
export async function checkTokenizer(options: TokenizerCheckOptions): Promise<TokenizerCheck> {
  const { files, metadata } = options;
  const { definition, full } = await sourceOf(files);
  const encoder = createEncoder(definition);
  const notes: string[] = [];
  if (!full)
    notes.push(
      "There is only a SentencePiece model: tokens that texts begin and end with are not part of it, and were not compared.",
    );

  const ordinary = ordinaryTokens(metadata);
  const parts = fuzzCorpus({
    ...(ordinary.length === 0
      ? {}
      : {
          own: (count, next) =>
            encoder.decode(
              Array.from({ length: count }, () => ordinary[Math.floor(next() * ordinary.length)]!),
            ),
        }),
    special: definition.added.slice(0, SPECIALS).map(({ content }) => content),
    ...(options.random === undefined ? {} : { random: options.random }),
  });
  const texts = parts.flatMap((part) => part.texts.map((text) => ({ kind: part.kind, text })));
  const unspellable = unspellableBy(metadata);
  const engine = await runEngine(
    options,
    texts.map(({ text }) => text),
    unspellable,
    full,
  );

  const reasons = knownReasons(definition, encoder, metadata);
  const differences = texts.flatMap(({ kind, text }, i): TokenDifference[] => {
    const source = encoder.encode(text, full);
    const own = engine.ids[i];
    const at = own === undefined ? 0 : firstDifference(source, own);
    if (at < 0) return [];
    const because = own === undefined ? STOPS : reasons(text);
    return [
      {
        kind,
        text,
        source,
        ...(own === undefined ? {} : { engine: Array.from(own) }),
        at,
        ...(because === undefined ? {} : { because }),
      },
    ];
  });
  const templates = await checkTemplates(options, definition, engine.rendered, notes);
  return {
    engine: engine.version,
    source: definition.root.file,
    kinds: parts
      .filter((part) => part.texts.length > 0)
      .map((part) => ({
        kind: part.kind,
        texts: part.texts.length,
        differing: differences.filter(({ kind }) => kind === part.kind).length,
      })),
    texts: texts.length,
    differences,
    ...templates,
    notes,
  };
}

async function sourceOf(files: CheckpointFiles): Promise<{ definition: Definition; full: boolean }> {
  const definition = await readDefinition(files);
  if (definition !== undefined) return { definition, full: true };
  const model =
    (await definitionOfModel(files, "tokenizer.model")) ?? (await definitionOfModel(files, "spiece.model"));
  if (model !== undefined) return { definition: model, full: false };
  throw new FewbitError(
    "E_TOKENIZER",
    "The checkpoint has no tokenizer to compare with.",
    { file: files.path("tokenizer.json") },
    REMEDY,
  );
}

const STOPS =
  "llama.cpp ends its process at characters that the vocabulary has neither as tokens nor as bytes";

interface EngineResult {
  readonly version: string;
  /** By text; undefined where the text ended the process, or would. */
  readonly ids: readonly (Int32Array | undefined)[];
  readonly rendered: readonly (string | undefined)[];
}

/**
 * Every text through llama.cpp. A text that ends its process is left out, and a new process goes on behind it. One of
 * those that are known to do so is tried; the others are spared.
 */
async function runEngine(
  { engine, model, signal }: TokenizerCheckOptions,
  texts: readonly string[],
  unspellable: (text: string) => boolean,
  special: boolean,
): Promise<EngineResult> {
  const task = { url: new URL("./check-task.js", import.meta.url).href };
  const ids: (Int32Array | undefined)[] = texts.map(() => undefined);
  const [first, ...spared] = [...texts.keys()].filter((i) => unspellable(texts[i]!));
  const skip = new Set(spared);
  const queue = [...texts.keys()].filter((i) => i !== first && !skip.has(i));
  if (first !== undefined) queue.push(first);
  let version = "";
  let rendered: readonly (string | undefined)[] | undefined;
  let done = 0;
  while (done < queue.length) {
    const input: CheckInput = {
      model,
      texts: queue.slice(done).map((i) => texts[i]!),
      special,
      conversations: rendered === undefined ? conversations : [],
    };
    try {
      for await (const step of engine.run<CheckStep>(task, input, signal === undefined ? {} : { signal }))
        if ("engine" in step) version = step.engine;
        else if ("rendered" in step) rendered ??= step.rendered;
        else ids[queue[done++]!] = step.ids;
    } catch (thrown) {
      // Nothing came: it was not a text.
      if (!isFewbitError(thrown, "E_ENGINE_DIED") || rendered === undefined) throw thrown;
      done++;
    }
  }
  return { version, ids, rendered: rendered ?? [] };
}

/** Numbers of tokens that are neither special nor bytes. */
function ordinaryTokens(metadata: readonly MetadataEntry[]): number[] {
  const types = metadata.find(({ key }) => key === "tokenizer.ggml.token_type")?.value;
  return Array.isArray(types) || ArrayBuffer.isView(types)
    ? [...Array.from(types as ArrayLike<number>).entries()]
        .filter(([, type]) => type === tokenType.normal)
        .map(([id]) => id)
    : [];
}

/** Texts with characters that a SentencePiece vocabulary without bytes cannot spell. */
function unspellableBy(metadata: readonly MetadataEntry[]): (text: string) => boolean {
  const value = (key: string): unknown =>
    metadata.find((entry) => entry.key === `tokenizer.ggml.${key}`)?.value;
  const tokens = value("tokens") as readonly string[] | undefined;
  if (value("model") !== "llama" || tokens === undefined || tokens.includes("<0x00>")) return () => false;
  const single = new Set(tokens.filter((token) => [...token].length === 1));
  return (text) => [...text].some((character) => !single.has(character === " " ? "\u2581" : character));
}

/** -1 where they are the same. */
function firstDifference(a: ArrayLike<number>, b: ArrayLike<number>): number {
  for (let i = 0; i < Math.max(a.length, b.length); i++) if (a[i] !== b[i]) return i;
  return -1;
}

async function checkTemplates(
  options: TokenizerCheckOptions,
  definition: Definition,
  rendered: readonly (string | undefined)[],
  notes: string[],
): Promise<Pick<TokenizerCheck, "templateKept" | "templates">> {
  const { files, metadata } = options;
  const text = (await readChatTemplates(files, definition.config)).find(
    ({ name }) => name === "default",
  )?.text;
  if (text === undefined) return { templateKept: undefined, templates: [] };
  const kept = metadata.find(({ key }) => key === "tokenizer.chat_template")?.value === text;
  refuseMalformed(text, definition.config.get("chat_template"));
  const renderings = await renderAll(options, text, definition);
  if (renderings === undefined) {
    notes.push("The chat template takes too long to render, or too much memory, and was not compared.");
    return { templateKept: kept, templates: [] };
  }
  // llama.cpp adds it when it makes tokens of the text.
  const bos = namedToken(definition, "bos");
  const templates = conversations.map((conversation, i): TemplateCheck => {
    const rendering = renderings[i]!;
    const source = "text" in rendering ? rendering.text : undefined;
    const engine = rendered[i];
    return {
      conversation: conversation.name,
      source,
      ...("refused" in rendering ? { refused: rendering.refused } : {}),
      engine,
      same:
        source === undefined || engine === undefined
          ? undefined
          : source === engine || (bos !== undefined && source === bos + engine),
    };
  });
  if (templates.every(({ engine }) => engine === undefined))
    notes.push(
      "llama.cpp's library does not know this chat template by its looks, so that it was not rendered there: programs that read templates themselves are not affected.",
    );
  return { templateKept: kept, templates };
}

/** The conversations by the source's template; undefined where it does not come to an end. */
async function renderAll(
  { engine, signal, patience = PATIENCE }: TokenizerCheckOptions,
  template: string,
  definition: Definition,
): Promise<Rendering[] | undefined> {
  const task = { url: new URL("./template-task.js", import.meta.url).href };
  const tokens = Object.fromEntries(
    ["bos", "eos", "unk", "pad"].map((role) => [`${role}_token`, namedToken(definition, role) ?? ""]),
  );
  const input: TemplateInput = { template, conversations, tokens };
  const late = AbortSignal.timeout(patience);
  const renderings: Rendering[] = [];
  try {
    const stop = signal === undefined ? late : AbortSignal.any([signal, late]);
    for await (const rendering of engine.run<Rendering>(task, input, { signal: stop }))
      renderings.push(rendering);
    return renderings;
  } catch (thrown) {
    const endless = late.aborted || isFewbitError(thrown, "E_ENGINE_DIED");
    if (signal?.aborted || !endless) throw thrown;
    return undefined;
  }
}
