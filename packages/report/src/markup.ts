// Everything that turns text into HTML. Names come from files that may be hostile: a value in a template is escaped
// unless it is markup already, and `visible` shows what could reorder or hide text.

/** HTML that needs no escaping any more. Only this module makes it from text. */
export class Markup {
  readonly #text: string;
  constructor(text: string) {
    this.#text = text;
  }
  toString(): string {
    return this.#text;
  }
}

/** What a template may hold; `false` and `undefined` leave nothing. */
export type Content = string | number | Markup | false | undefined | readonly Content[];

const entities: Readonly<Record<string, string>> = {
  "&": "&amp;",
  "<": "&lt;",
  ">": "&gt;",
  '"': "&quot;",
  "'": "&#39;",
};

/** For text and for attributes in quotes. */
export const escapeHtml = (text: string): string => text.replace(/[&<>"']/g, (c) => entities[c]!);

function textOf(content: Content): string {
  if (content === false || content === undefined) return "";
  if (content instanceof Markup) return content.toString();
  if (typeof content === "object") return content.map(textOf).join("");
  return escapeHtml(String(content));
}

/** A template whose values are escaped. */
export function html(parts: TemplateStringsArray, ...values: readonly Content[]): Markup {
  return new Markup(parts.reduce((text, part, i) => text + textOf(values[i - 1]) + part));
}

/** A name on its own: its direction does not reach what stands around it. */
export const isolated = (name: string): Markup => html`<bdi>${name}</bdi>`;

/** JSON for a `<script type="application/json">`: nothing in it can end the element or start a comment. */
export const jsonIsland = (value: unknown): Markup =>
  new Markup(
    JSON.stringify(value).replace(
      /[<>&\u2028\u2029]/g,
      (c) => `\\u${c.charCodeAt(0).toString(16).padStart(4, "0")}`,
    ),
  );

/**
 * C0 controls, DEL and C1; directional marks, overrides and isolates; line and paragraph separators; invisible
 * annotation, byte-order and tag characters; surrogates without a partner.
 */
const unsafe =
  /[\u0000-\u001f\u007f-\u009f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb\u{e0000}-\u{e007f}]|\p{Surrogate}/gu;

/** `\u202e` in place of every character that would be invisible or move others. */
const visible = (text: string): string =>
  text.replace(unsafe, (character) => {
    const hex = character.codePointAt(0)!.toString(16);
    return hex.length > 4 ? `\\u{${hex}}` : `\\u${hex.padStart(4, "0")}`;
  });

/** The same data with every string in it, keys included, made visible. */
export function visibleStrings<T>(value: T): T {
  if (typeof value === "string") return visible(value) as T;
  if (Array.isArray(value)) return value.map(visibleStrings) as T;
  if (typeof value !== "object" || value === null) return value;
  return Object.fromEntries(
    Object.entries(value).map(([key, item]) => [visible(key), visibleStrings(item)]),
  ) as T;
}

/** At most `length` characters, the middle left out: beginnings and ends tell names apart. */
export function shorten(text: string, length: number): string {
  const characters = [...text];
  if (characters.length <= length) return text;
  const end = Math.floor((length - 1) / 2);
  return `${characters.slice(0, length - 1 - end).join("")}…${characters.slice(characters.length - end).join("")}`;
}
