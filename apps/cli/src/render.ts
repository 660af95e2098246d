// Everything that turns values into text for people or for programs. Names and values come from files that
// may be hostile: nothing reaches a terminal or a log without going through `escapeControls`.

/**
 * C0 controls (with newline and tab), DEL and C1; directional marks, overrides and isolates; line and paragraph
 * separators; invisible annotation, byte-order and tag characters; surrogates without a partner.
 */
const unsafe =
  /[\u0000-\u001f\u007f-\u009f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb\u{e0000}-\u{e007f}]|\p{Surrogate}/gu;

/** `\x1b`, `\u202e`, `\u{e0041}` in place of every character that could move the cursor or reorder the line. */
export function escapeControls(text: string): string {
  return text.replace(unsafe, (character) => {
    const code = character.codePointAt(0)!;
    const hex = code.toString(16);
    if (code < 0x100) return `\\x${hex.padStart(2, "0")}`;
    return code < 0x10000 ? `\\u${hex.padStart(4, "0")}` : `\\u{${hex}}`;
  });
}

/**
 * One JSON document, always valid: integers beyond 2^53 and numbers that JSON cannot hold become strings, and
 * characters that `escapeControls` would show as escapes are written as `\uXXXX`.
 */
export function toJson(value: unknown): string {
  const text = JSON.stringify(
    value,
    (_, item: unknown) => {
      if (typeof item === "bigint")
        return item >= BigInt(Number.MIN_SAFE_INTEGER) && item <= BigInt(Number.MAX_SAFE_INTEGER)
          ? Number(item)
          : String(item);
      if (typeof item === "number" && !Number.isFinite(item)) return String(item);
      if (ArrayBuffer.isView(item) && !(item instanceof DataView)) return [...(item as Float32Array)];
      return item;
    },
    2,
  );
  return text.replace(unsafe, (character) =>
    // Between tokens only the newlines of the indentation can occur; inside strings JSON has escaped its own.
    character === "\n"
      ? character
      : [...Array(character.length).keys()]
          .map((i) => `\\u${character.charCodeAt(i).toString(16).padStart(4, "0")}`)
          .join(""),
  );
}

/** Decimal units, as disks and download pages count. */
export function formatBytes(bytes: number): string {
  if (bytes < 1000) return `${bytes} B`;
  const units = ["kB", "MB", "GB", "TB", "PB"];
  let value = bytes;
  let unit = -1;
  do {
    value /= 1000;
    unit++;
  } while (value >= 999.995 && unit < units.length - 1);
  return `${value.toFixed(2)} ${units[unit]}`;
}

/** `768`, `59.4 k`, `8.03 G`: how many, in three digits. */
export function formatCount(count: number): string {
  const units = ["", " k", " M", " G", " T"];
  let value = count;
  let unit = 0;
  while (value >= 999.5 && unit < units.length - 1) {
    value /= 1000;
    unit++;
  }
  if (unit === 0) return String(Math.round(value));
  return `${value.toPrecision(3)}${units[unit]}`;
}

export function formatDuration(milliseconds: number): string {
  const seconds = milliseconds / 1000;
  if (seconds < 9.995) return `${seconds.toFixed(2)} s`;
  const whole = Math.round(seconds);
  if (whole < 60) return `${whole} s`;
  const minutes = Math.floor(whole / 60);
  if (minutes < 60) return `${minutes} min ${String(whole % 60).padStart(2, "0")} s`;
  return `${Math.floor(minutes / 60)} h ${String(minutes % 60).padStart(2, "0")} min`;
}

/** `4.500`; a dash where there are no weights to divide by. */
export function formatBits(bytes: number, weights: number): string {
  return weights === 0 ? "-" : ((bytes * 8) / weights).toFixed(3);
}

/** Row-major, as `TensorInfo.shape`: `[2048, 512]` has 2048 rows of 512 columns. */
export const formatShape = (shape: readonly number[]): string => `[${shape.join(", ")}]`;

/** Weights of a tensor; a shape without dimensions is one number. */
export const countWeights = (shape: readonly number[]): number =>
  shape.reduce((product, n) => product * n, 1);

/** What a recipe or model is called after: at most `length` characters, with the number of those left out. */
export function abbreviate(text: string, length: number): string {
  const characters = [...text];
  return characters.length <= length
    ? text
    : `${characters.slice(0, length).join("")}… (${characters.length} characters)`;
}

/** The first of many names; not escaped. */
export const listNames = (names: readonly string[]): string =>
  names.slice(0, 8).join(", ") + (names.length > 8 ? ` and ${names.length - 8} more` : "");

/** The fewest digits that name a float32: 0.1 rather than 0.10000000149011612. */
export function formatSingle(value: number): string {
  for (let digits = 6; digits < 9; digits++) {
    const short = Number(value.toPrecision(digits));
    if (Math.fround(short) === value) return String(short);
  }
  return String(value);
}

/**
 * One line for a metadata value: long arrays and texts cut short, everything escaped. `type` is the container's name
 * of its type, such as `array<f32>`.
 */
export function formatValue(value: unknown, type = "", items = 6, length = 100): string {
  if (Array.isArray(value) || (ArrayBuffer.isView(value) && !(value instanceof DataView))) {
    const list = value as unknown[];
    const shown = [];
    for (let i = 0; i < Math.min(items, list.length); i++) shown.push(formatValue(list[i], type, 3, 24));
    if (list.length > items) shown.push("…");
    return `[${shown.join(", ")}]${list.length > items ? ` (${list.length} values)` : ""}`;
  }
  if (typeof value === "string") return `"${escapeControls(abbreviate(value, length))}"`;
  if (Object.is(value, -0)) return "-0";
  if (typeof value === "number" && type.includes("f32")) return formatSingle(value);
  return escapeControls(String(value));
}

export interface Column {
  readonly title: string;
  readonly align?: "left" | "right";
}

/** Columns two spaces apart. Cells are escaped here, so callers need not remember to. */
export function table(columns: readonly Column[], rows: readonly (readonly string[])[]): string {
  const cells = [columns.map((column) => column.title), ...rows].map((row) => row.map(escapeControls));
  const widths = columns.map((_, i) => Math.max(...cells.map((row) => row[i]?.length ?? 0)));
  return cells
    .map((row) =>
      columns
        .map((column, i) =>
          column.align === "right" ? (row[i] ?? "").padStart(widths[i]!) : (row[i] ?? "").padEnd(widths[i]!),
        )
        .join("  ")
        .trimEnd(),
    )
    .join("\n");
}
