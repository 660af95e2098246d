import { FewbitError, isFewbitError } from "@fewbit/core";
import type { CheckpointFiles } from "../checkpoint.js";
import { parseJson, quoted } from "../json.js";

/** No tokenizer of a model is nearly as large. */
const MAX_BYTES = 256 * 2 ** 20;

export const REMEDY = "Download the tokenizer's files again, all from the same place.";

/** A value of a JSON file from a stranger, with its place in the file. Objects have own keys only. */
export class Json {
  readonly value: unknown;
  readonly file: string;
  /** `model.vocab`; empty for the whole file. */
  readonly path: string;

  constructor(value: unknown, file: string, path = "") {
    this.value = value;
    this.file = file;
    this.path = path;
  }

  get missing(): boolean {
    return this.value === undefined || this.value === null;
  }

  /** A member; missing where this is no object, or has none of that name. */
  get(key: string): Json {
    const { value } = this;
    const own = typeof value === "object" && value !== null && Object.hasOwn(value, key);
    return new Json(
      own ? (value as Record<string, unknown>)[key] : undefined,
      this.file,
      this.path === "" ? key : `${this.path}.${key}`,
    );
  }

  /** @throws `E_TOKENIZER` where this is no object */
  *entries(): Generator<[key: string, value: Json]> {
    const { value } = this;
    if (typeof value !== "object" || value === null || Array.isArray(value)) throw this.wrong("an object");
    for (const [key, each] of Object.entries(value))
      yield [key, new Json(each, this.file, this.path === "" ? key : `${this.path}.${key}`)];
  }

  /** Of a list; none where it is missing. @throws `E_TOKENIZER` where this is no list */
  items(): readonly Json[] {
    if (this.missing) return [];
    if (!Array.isArray(this.value)) throw this.wrong("a list");
    return this.value.map((each, i) => new Json(each, this.file, `${this.path}[${i}]`));
  }

  get string(): string | undefined {
    return typeof this.value === "string" ? this.value : undefined;
  }

  get boolean(): boolean | undefined {
    return typeof this.value === "boolean" ? this.value : undefined;
  }

  get integer(): number | undefined {
    return Number.isSafeInteger(this.value) ? (this.value as number) : undefined;
  }

  get list(): readonly Json[] | undefined {
    return Array.isArray(this.value) ? this.items() : undefined;
  }

  /**
   * Text that can be stored: UTF-8 has no halves of surrogate pairs.
   * @throws `E_TOKENIZER`
   */
  text(): string {
    const text = this.string;
    if (text === undefined) throw this.wrong("a text");
    if (/\p{Surrogate}/u.test(text)) throw this.error("The text holds half of a surrogate pair.");
    return text;
  }

  /** @throws `E_TOKENIZER` where it is no number of a token */
  id(): number {
    const id = this.integer;
    if (id === undefined || id < 0) throw this.wrong("a token's number");
    return id;
  }

  /** @throws `E_TOKENIZER` */
  number(): number {
    if (typeof this.value !== "number" || !Number.isFinite(this.value)) throw this.wrong("a number");
    return this.value;
  }

  wrong(wanted: string): FewbitError {
    return this.error(`This is ${quoted(JSON.stringify(this.value) ?? "missing")}, not ${wanted}.`);
  }

  error(message: string, remedy = REMEDY): FewbitError {
    return new FewbitError(
      "E_TOKENIZER",
      message,
      { file: this.file, ...(this.path === "" ? {} : { key: this.path }) },
      remedy,
    );
  }
}

/**
 * A JSON file beside the weights; one that holds nothing where it is missing.
 * @throws `E_TOKENIZER`
 */
export async function readJson(files: CheckpointFiles, name: string): Promise<Json> {
  const bytes = await files.read(name);
  const file = files.path(name);
  if (bytes === undefined) return new Json(undefined, file);
  refuseLarge(bytes, file);
  try {
    return new Json(parseJson(bytes, file), file);
  } catch (thrown) {
    if (!isFewbitError(thrown, "E_CHECKPOINT")) throw thrown;
    throw new FewbitError("E_TOKENIZER", thrown.message, thrown.at, REMEDY, thrown.cause);
  }
}

/** @throws `E_TOKENIZER` */
export function refuseLarge(bytes: Uint8Array, file: string): void {
  if (bytes.length > MAX_BYTES)
    throw new FewbitError(
      "E_TOKENIZER",
      `The file has ${bytes.length} bytes; tokenizers have at most ${MAX_BYTES}.`,
      { file },
      REMEDY,
    );
}

/** A text file beside the weights. @throws `E_TOKENIZER` where it is not UTF-8 */
export async function readText(files: CheckpointFiles, name: string): Promise<string | undefined> {
  const bytes = await files.read(name);
  if (bytes === undefined) return undefined;
  const file = files.path(name);
  refuseLarge(bytes, file);
  try {
    return new TextDecoder("utf-8", { fatal: true }).decode(bytes);
  } catch (cause) {
    throw new FewbitError("E_TOKENIZER", "The file is not UTF-8.", { file }, REMEDY, cause);
  }
}
