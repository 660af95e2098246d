import fc from "fast-check";
import { describe, expect, test } from "vitest";
import {
  abbreviate,
  escapeControls,
  formatBits,
  formatBytes,
  formatCount,
  formatDuration,
  formatValue,
  table,
  toJson,
} from "../src/render.js";

/** What a terminal could act on: controls, and characters that reorder or hide text. */
const dangerous =
  /[\u0000-\u001f\u007f-\u009f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff]|\p{Surrogate}/u;
/** Any UTF-16, well-formed or not, with dangerous characters often. */
const anyText = fc
  .array(
    fc.oneof(
      fc.integer({ min: 0, max: 0xffff }),
      fc.constantFrom(0x1b, 0x9b, 0x0a, 0x0d, 0x7f, 0x202e, 0x2066, 0x2028, 0xd800, 0xdc00),
    ),
  )
  .map((units) => String.fromCharCode(...units));

describe("escapeControls", () => {
  test("leaves no character that a terminal acts on", () => {
    fc.assert(fc.property(anyText, (text) => !dangerous.test(escapeControls(text))));
  });

  test("leaves text alone that has none", () => {
    for (const text of ["blk.0.attn_q.weight", "C:\\models\\a.gguf", "größe 模型 😀", ""])
      expect(escapeControls(text)).toBe(text);
  });

  test("twice is once", () => {
    fc.assert(fc.property(anyText, (text) => escapeControls(escapeControls(text)) === escapeControls(text)));
  });

  test("shows what was there", () => {
    expect(escapeControls("a\x1b[31mb\x9b\x7f\r\n\t")).toBe("a\\x1b[31mb\\x9b\\x7f\\x0d\\x0a\\x09");
    expect(escapeControls("\u202egnp.exe")).toBe("\\u202egnp.exe");
    expect(escapeControls("\u{e0041}\ud800")).toBe("\\u{e0041}\\ud800");
  });
});

describe("toJson", () => {
  test("is valid, free of control characters, and keeps every text", () => {
    fc.assert(
      fc.property(anyText, (text) => {
        const json = toJson({ [text]: [text] });
        expect(dangerous.test(json.replaceAll("\n", ""))).toBe(false);
        expect(JSON.parse(json)).toEqual(JSON.parse(JSON.stringify({ [text]: [text] })));
      }),
    );
  });

  test("writes numbers that JSON cannot hold as text", () => {
    expect(
      JSON.parse(toJson([18446744073709551615n, -9223372036854775808n, 7n, NaN, -Infinity, 1.5])),
    ).toEqual(["18446744073709551615", "-9223372036854775808", 7, "NaN", "-Infinity", 1.5]);
  });

  test("keeps a key named __proto__", () => {
    expect(toJson(JSON.parse('{"__proto__": 1}'))).toContain('"__proto__": 1');
  });
});

describe("numbers", () => {
  test("bytes", () => {
    expect([0, 999, 1000, 7538240, 999_999_999, 4.58e9, 1e16].map(formatBytes)).toEqual([
      "0 B",
      "999 B",
      "1.00 kB",
      "7.54 MB",
      "1.00 GB",
      "4.58 GB",
      "10.00 PB",
    ]);
  });

  test("counts", () => {
    expect([0, 7, 999, 1000, 59_392, 999_600, 8.03e9].map(formatCount)).toEqual([
      "0",
      "7",
      "999",
      "1.00 k",
      "59.4 k",
      "1.00 M",
      "8.03 G",
    ]);
  });

  test("durations", () => {
    expect([0, 350, 9994, 10_000, 59_600, 61_000, 3_600_000].map(formatDuration)).toEqual([
      "0.00 s",
      "0.35 s",
      "9.99 s",
      "10 s",
      "1 min 00 s",
      "1 min 01 s",
      "1 h 00 min",
    ]);
  });

  test("bits per weight", () => {
    expect(formatBits(144, 256)).toBe("4.500");
    expect(formatBits(0, 0)).toBe("-");
  });
});

describe("formatValue", () => {
  test("cuts long arrays and texts, and says how long they are", () => {
    expect(formatValue(Array.from({ length: 1000 }, (_, i) => i))).toBe(
      "[0, 1, 2, 3, 4, 5, …] (1000 values)",
    );
    expect(formatValue("x".repeat(200), "string", 6, 5)).toBe('"xxxxx… (200 characters)"');
    expect(formatValue(["a", "b"])).toBe('["a", "b"]');
  });

  test("shows numbers as they are", () => {
    expect([NaN, -0, 18446744073709551615n, true].map((value) => formatValue(value))).toEqual([
      "NaN",
      "-0",
      "18446744073709551615",
      "true",
    ]);
  });

  test("a float32 is named by as few digits as it takes", () => {
    const single = (x: number): string => formatValue([Math.fround(x)], "array<f32>");
    expect(single(0.1)).toBe("[0.1]");
    expect(single(1e-6)).toBe("[0.000001]");
    expect(single(500000.5)).toBe("[500000.5]");
    fc.assert(fc.property(fc.float(), (x) => Object.is(Math.fround(Number(formatValue(x, "f32"))), x)));
  });

  test("never splits a character in two", () => {
    expect(abbreviate("😀😀😀", 2)).toBe("😀😀… (3 characters)");
  });

  test("holds nothing that a terminal acts on", () => {
    fc.assert(
      fc.property(anyText, (text) => !dangerous.test(formatValue([text, [text]]) + formatValue(text))),
    );
  });
});

test("table aligns columns and escapes cells", () => {
  expect(
    table(
      [{ title: "NAME" }, { title: "SIZE", align: "right" }],
      [
        ["a\x1b", "1"],
        ["b", "100000"],
      ],
    ),
  ).toBe(["NAME     SIZE", "a\\x1b       1", "b      100000"].join("\n"));
});
