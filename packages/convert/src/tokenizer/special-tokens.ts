// Which tokens begin and end texts, and the chat template: what llama.cpp's converter calls the special vocabulary.
import type { MetadataEntry } from "@fewbit/core";
import type { CheckpointFiles } from "../checkpoint.js";
import { readChatTemplates, templateEntries } from "./chat-template.js";
import { type Json, readJson } from "./json.js";

export interface SpecialTokenSources {
  readonly files: CheckpointFiles;
  /** tokenizer.json; missing where the vocabulary is of another file. */
  readonly root: Json;
  readonly config: Json;
  /** `a b`, by rank; only for vocabularies that keep merges. */
  readonly merges?: readonly string[];
  /** Numbers from here on belong to no token, and are left out. Any number where absent. */
  readonly vocabulary?: number;
}

/** Roles in the order that they are written in, with GGUF's keys; one without a key is only looked at. */
const keys = new Map([
  ["bos", "bos_token_id"],
  ["eos", "eos_token_id"],
  ["unk", "unknown_token_id"],
  // As llama.cpp spells it.
  ["sep", "seperator_token_id"],
  ["pad", "padding_token_id"],
  ["cls", undefined],
  ["mask", "mask_token_id"],
  ["eot", "eot_token_id"],
  ["eom", "eom_token_id"],
]);
const ROLES = ["bos", "eos", "unk", "sep", "pad", "cls", "mask"];

/** @throws `E_TOKENIZER` */
export async function specialTokens(
  sources: SpecialTokenSources,
  warnings: string[],
): Promise<MetadataEntry[]> {
  const { files, root, config, merges = [] } = sources;
  const special = new SpecialTokens(sources, warnings);
  special.read();
  special.readSettings(await readJson(files, "config.json"));
  const entry = (key: string, type: string, value: unknown): MetadataEntry => ({
    key: `tokenizer.ggml.${key}`,
    type,
    value,
  });
  const { lowercase, stripAccents } = normalizerFlags(root.get("normalizer"));
  return [
    ...(merges.length === 0 ? [] : [entry("merges", "array<string>", merges)]),
    ...[...special.ids].flatMap(([role, id]) => {
      const key = keys.get(role);
      return key === undefined ? [] : [entry(key, "u32", id)];
    }),
    ...[...special.added].map(([role, adds]) => entry(`add_${role}_token`, "bool", adds)),
    ...(config.missing ? [] : templateEntries(await readChatTemplates(files, config))),
    ...(lowercase === undefined ? [] : [entry("normalizer.lowercase", "bool", lowercase)]),
    ...(stripAccents === undefined ? [] : [entry("normalizer.strip_accents", "bool", stripAccents)]),
  ];
}

class SpecialTokens {
  /** By role. */
  readonly ids = new Map<string, number>();
  /** Whether a token is added to texts, of the roles `bos`, `eos` and `sep`. */
  readonly added = new Map<string, boolean>();

  readonly #sources: SpecialTokenSources;
  readonly #warnings: string[];
  readonly #roles = [...ROLES];
  /** Spellings by role, as tokenizer_config.json and the post-processor name them. */
  readonly #named = new Map<string, string>();

  constructor(sources: SpecialTokenSources, warnings: string[]) {
    this.#sources = sources;
    this.#warnings = warnings;
  }

  read(): void {
    const { root, config } = this.#sources;
    for (const role of ROLES) {
      const entry = config.get(`${role}_token`);
      const content = entry.string ?? entry.get("content").string;
      if (content !== undefined && content !== "") this.#named.set(role, content);
    }
    if (!root.missing) {
      this.#stand("bos", "cls");
      this.#stand("eos", "sep");
      const processor = root.get("post_processor");
      for (const each of processor.get("processors").list ?? [processor]) {
        const type = each.get("type").string;
        if (type === "RobertaProcessing") this.#readRoberta(each);
        else if (type === "TemplateProcessing") this.#readTemplate(each);
      }
    }
    if (config.missing) return;
    for (const role of this.#roles) {
      const adds = config.get(`add_${role}_token`).boolean;
      if (adds !== undefined && ["bos", "eos", "sep"].includes(role)) this.added.set(role, adds);
      const content = this.#named.get(role);
      if (content === undefined) continue;
      const token = root
        .get("added_tokens")
        .items()
        .find((each) => each.get("content").string === content);
      if (token !== undefined) this.#set(role, token.get("id"));
    }
  }

  /** Numbers that config.json gives, where the tokenizer's files give none. */
  readSettings(settings: Json): void {
    for (const role of this.#roles) {
      const outer = settings.get(`${role}_token_id`);
      this.#set(role, outer.missing ? settings.get("text_config").get(`${role}_token_id`) : outer);
    }
  }

  #set(role: string, at: Json): void {
    const id = at.integer;
    if (id === undefined || this.ids.has(role)) return;
    if (id < 0) throw at.wrong("a token's number");
    const { vocabulary = Number.POSITIVE_INFINITY } = this.#sources;
    if (id < vocabulary) this.ids.set(role, id);
    else
      this.#warnings.push(
        `${at.file}: ${at.path} is ${id}; the vocabulary has ${vocabulary} tokens, so it is left out.`,
      );
  }

  /** Where a role has no token, another's stands for it. */
  #stand(role: string, other: string): void {
    const content = this.#named.get(other);
    if (!this.#named.has(role) && content !== undefined) this.#named.set(role, content);
  }

  #readRoberta(processor: Json): void {
    for (const role of ["bos", "eos", "sep"]) this.added.set(role, true);
    for (const [role, other] of [
      ["cls", "bos"],
      ["sep", "eos"],
    ] as const) {
      const content = processor.get(role).list?.[0]?.string ?? this.#named.get(other);
      if (!this.#named.has(role) && content !== undefined) this.#named.set(role, content);
    }
  }

  /** What a template puts around a text, and between two. */
  #readTemplate(processor: Json): void {
    const hasConfig = !this.#sources.config.missing;
    const single = processor.get("single").list ?? [];
    let first: string | undefined;
    let last: string | undefined;
    if (single.length > 1) {
      first = specialOf(single[0]);
      if (first !== undefined) {
        if (!hasConfig) this.#named.set("bos", first);
        else if (first !== this.#named.get("bos") && first !== this.#named.get("cls"))
          for (const role of ["bos", "cls"]) if (!this.#named.has(role)) this.#named.set(role, first);
        this.added.set("bos", first === this.#named.get("bos") || first === this.#named.get("cls"));
      }
      last = specialOf(single.at(-1));
      if (last !== undefined) {
        if (hasConfig && last !== this.#named.get("eos")) this.#demoteEos();
        this.#named.set("eos", last);
        this.added.set("eos", true);
      }
    }
    this.#readPair(processor.get("pair").list ?? [], first, last);
  }

  /** The template ends texts with another token than the settings: theirs ends turns then. */
  #demoteEos(): void {
    const eos = this.#named.get("eos");
    const role = ["eot", "eom"].find((each) => !this.#roles.includes(each));
    if (role === undefined) return;
    this.#roles.push(role);
    if (eos !== undefined) this.#named.set(role, eos);
  }

  #readPair(pair: readonly Json[], first: string | undefined, last: string | undefined): void {
    const start = first !== undefined && specialOf(pair[0]) === first ? 1 : 0;
    const end = last !== undefined && specialOf(pair.at(-1)) === last ? pair.length - 1 : pair.length;
    const inner = pair.slice(start, end);
    const between = inner.slice(1, -1);
    if (sequenceOf(inner[0]) !== "A" || sequenceOf(inner.at(-1)) !== "B" || between.length === 0) return;
    const ends = (part: Json | undefined): boolean => {
      const content = specialOf(part);
      return (
        content !== undefined && (content === this.#named.get("sep") || content === this.#named.get("eos"))
      );
    };
    const adds = (ends(between[0]) && last === undefined) || (between.length === 2 && ends(between[1]));
    this.added.set("sep", adds);
    const eos = this.#named.get("eos");
    if (adds && !this.#named.has("sep") && eos !== undefined) this.#named.set("sep", eos);
  }
}

const specialOf = (part: Json | undefined): string | undefined =>
  part?.get("SpecialToken").get("id").string || undefined;

const sequenceOf = (part: Json | undefined): string | undefined => part?.get("Sequence").get("id").string;

/** Whether a normalizer makes letters small and takes their accents. */
function normalizerFlags(normalizer: Json): { lowercase?: boolean; stripAccents?: boolean } {
  switch (normalizer.get("type").string) {
    case "Lowercase":
      return { lowercase: true };
    case "StripAccents":
      return { stripAccents: true };
    case "BertNormalizer": {
      const lowercase = normalizer.get("lowercase").boolean;
      const stripAccents = normalizer.get("strip_accents").boolean;
      return {
        ...(lowercase === undefined ? {} : { lowercase }),
        ...(stripAccents === undefined ? {} : { stripAccents }),
      };
    }
    case "Sequence":
      return Object.assign({}, ...(normalizer.get("normalizers").list ?? []).map(normalizerFlags));
    default:
      return {};
  }
}
