// JSON with everything that JSON.parse forgets: where a value stands, keys that occur twice, numbers as they are
// written, and how deep it goes. JSON.parse still decodes what is special in a string: escapes and controls are its
// business.
import { quoted } from "./text.js";

/** A value and the index of its first character; of a string, of the character behind its quote. */
export type Json =
  | { readonly kind: "object"; readonly at: number; readonly members: ReadonlyMap<string, Member> }
  | {
      readonly kind: "array";
      readonly at: number;
      readonly length: number;
      /** The first of them, as many as anything that is read here may have. */
      readonly items: readonly Json[];
    }
  | { readonly kind: "string"; readonly at: number; readonly value: string }
  | { readonly kind: "number"; readonly at: number; readonly text: string }
  | { readonly kind: "true" | "false" | "null"; readonly at: number };

export interface Member {
  /** Where the key stands: the index behind its quote. */
  readonly at: number;
  readonly value: Json;
}

/** Called with the index of the character at fault; throws. */
export type JsonProblem = (kind: "syntax" | "duplicate", message: string, at: number) => never;

const MAX_DEPTH = 64;
/** More dimensions than any tensor has: the rest of a longer array is checked and forgotten. */
export const MAX_ITEMS = 64;
/** Of one member of the root: what is kept of a hostile file stays bounded. */
const MAX_MEMBERS = 2_000_000;

const number = /-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?/y;
/** What JSON.parse must decode or refuse; most strings have nothing of it. */
const special = /[\\\x00-\x1f]/;
const word = /true|false|null/y;

/** Reads one JSON text whose root is an object. */
export class JsonReader {
  #at = 0;
  /** Where the root begins: what a text that ends early is about. */
  #root = 0;
  #members = 0;

  constructor(
    readonly text: string,
    readonly problem: JsonProblem,
  ) {}

  /** The members of the root, one at a time; whoever takes them all has checked the whole text. */
  *members(): Generator<readonly [key: string, member: Member]> {
    this.#root = this.#skip();
    if (this.text[this.#root] !== "{") this.#unexpected("an object");
    const seen = new Set<string>();
    for (const key of this.#keys(1, seen)) {
      seen.add(key.name);
      this.#members = 0;
      yield [key.name, { at: key.at, value: this.#value(2) }];
    }
    if (this.#skip() < this.text.length) this.#unexpected("nothing more");
  }

  #value(depth: number): Json {
    const at = this.#skip();
    switch (this.text[at]) {
      case "{": {
        const members = new Map<string, Member>();
        for (const key of this.#keys(depth, members))
          members.set(key.name, { at: key.at, value: this.#value(depth + 1) });
        return { kind: "object", at, members };
      }
      case "[": {
        const items: Json[] = [];
        let length = 0;
        for (const _ of this.#list("]", depth)) {
          const item = this.#value(depth + 1);
          if (length++ < MAX_ITEMS) items.push(item);
        }
        return { kind: "array", at, length, items };
      }
      case '"':
        return { kind: "string", at: at + 1, value: this.#string() };
      default: {
        const text = this.#match(number);
        if (text !== undefined) return { kind: "number", at, text };
        const kind = this.#match(word);
        if (kind !== undefined) return { kind: kind as "true" | "false" | "null", at };
        return this.#unexpected("a value");
      }
    }
  }

  /** The keys of the object that begins here; the value of each must be read before the next is asked for. */
  *#keys(depth: number, seen: { has(key: string): boolean }): Generator<{ name: string; at: number }> {
    for (const _ of this.#list("}", depth)) {
      const at = this.#at + 1;
      if (this.text[this.#at] !== '"') this.#unexpected("a key");
      const name = this.#string();
      if (seen.has(name)) this.problem("duplicate", `${quoted(name)} occurs twice`, at);
      if (++this.#members > MAX_MEMBERS)
        this.problem("syntax", `there are more than ${MAX_MEMBERS} entries in one object`, at);
      this.#skip();
      this.#take(":");
      yield { name, at };
    }
  }

  /** Pauses before each element of the list that begins here. */
  *#list(close: "]" | "}", depth: number): Generator<void> {
    if (depth > MAX_DEPTH) this.problem("syntax", `it is nested more than ${MAX_DEPTH} deep`, this.#at);
    this.#at++;
    this.#skip();
    if (this.text[this.#at] === close) {
      this.#at++;
      return;
    }
    for (;;) {
      yield;
      this.#skip();
      if (this.text[this.#at] === close) {
        this.#at++;
        return;
      }
      this.#take(",", close);
      this.#skip();
    }
  }

  #string(): string {
    const start = this.#at;
    let end = start;
    do {
      end = this.text.indexOf('"', end + 1);
      if (end < 0) this.#endsEarly();
    } while (this.#escaped(end));
    this.#at = end + 1;
    const plain = this.text.slice(start + 1, end);
    if (!special.test(plain)) return plain;
    try {
      return JSON.parse(this.text.slice(start, end + 1)) as string;
    } catch {
      return this.problem(
        "syntax",
        "a string has an escape or a control character that JSON forbids",
        start + 1,
      );
    }
  }

  /** Whether an odd number of backslashes stands before the quote. */
  #escaped(quote: number): boolean {
    let before = quote;
    while (this.text[before - 1] === "\\") before--;
    return (quote - before) % 2 === 1;
  }

  #match(token: RegExp): string | undefined {
    token.lastIndex = this.#at;
    const found = token.exec(this.text)?.[0];
    if (found === undefined) return undefined;
    this.#at += found.length;
    if (/[\w.+-]/.test(this.text[this.#at] ?? "")) this.#unexpected("the end of a value");
    return found;
  }

  #take(character: string, or?: string): void {
    if (this.text[this.#at] !== character)
      this.#unexpected(or === undefined ? `"${character}"` : `"${character}" or "${or}"`);
    this.#at++;
  }

  /** Over white space; gives the index of what follows it. */
  #skip(): number {
    for (; ; this.#at++) {
      const unit = this.text.charCodeAt(this.#at);
      if (unit !== 0x20 && unit !== 0x0a && unit !== 0x0d && unit !== 0x09) return this.#at;
    }
  }

  #unexpected(wanted: string): never {
    if (this.#at >= this.text.length) this.#endsEarly();
    const found = String.fromCodePoint(this.text.codePointAt(this.#at)!);
    return this.problem("syntax", `${wanted} is expected and ${quoted(found)} is there`, this.#at);
  }

  #endsEarly(): never {
    return this.problem("syntax", "it ends early: what begins here is never closed", this.#root);
  }
}

const nonNegative = /^(?:0|[1-9][0-9]*)$/;

/** A count as it is written, exact; undefined for anything else. Without end, so that it may exceed any limit. */
export function wholeNumber(value: Json): bigint | undefined {
  if (value.kind !== "number" || !nonNegative.test(value.text)) return undefined;
  // Beyond 2⁶⁴ how far no longer matters, and BigInt takes quadratic time for long texts.
  return value.text.length > 20 ? 2n ** 67n : BigInt(value.text);
}
