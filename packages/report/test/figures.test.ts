import { describe, expect, test } from "vitest";
import {
  digitsOf,
  formatBytes,
  formatChange,
  formatCount,
  formatDecibels,
  formatFixed,
  formatPercent,
  formatSmall,
} from "../src/figures.js";
import { html, jsonIsland, shorten, visibleStrings } from "../src/markup.js";
import { luminance } from "../src/ramp.js";
import { placeOf, sortRoles } from "../src/roles.js";

describe("numbers", () => {
  test("sizes and counts in three digits", () => {
    expect([0, 999, 1000, 2_438_944, 4_036_384_000].map(formatBytes)).toEqual([
      "0 B",
      "999 B",
      "1.00 kB",
      "2.44 MB",
      "4.04 GB",
    ]);
    expect([7, 3_737_856, 999_999].map(formatCount)).toEqual(["7", "3.74 M", "1.00 M"]);
  });
  test("divergences keep their significant digits", () => {
    expect([1.172293, 0.036833, 0.001024, 1e-9, 0, 12345].map((value) => formatSmall(value))).toEqual([
      "1.17",
      "0.0368",
      "0.00102",
      "1.00e−9",
      "0",
      "12345",
    ]);
  });
  test("what is absent, infinite or no number is said so", () => {
    expect(formatSmall(undefined)).toBe("–");
    expect(formatFixed(Number.NaN, 2)).toBe("not a number");
    expect(formatPercent(Number.POSITIVE_INFINITY)).toBe("∞");
    expect(formatDecibels(Number.POSITIVE_INFINITY)).toBe("exact");
    expect(formatDecibels(-3.25, 2)).toBe("−3.25");
  });
  test("changes have a sign", () => {
    expect([0.0639, -0.012, 0].map((value) => formatChange(value))).toEqual(["+6.4 %", "−1.2 %", "0.0 %"]);
  });
  test("a figure has as many digits as its error has, two of them", () => {
    expect(digitsOf({ value: 36.7, error: 1.68 })).toBe(1);
    expect(digitsOf({ value: 0.001024, error: 0.000014 })).toBe(6);
    expect(digitsOf({ value: 1000, error: 150 })).toBe(0);
  });
});

describe("markup", () => {
  test("escapes values in text and attributes, and nothing twice", () => {
    const name = `<b title="a" & 'b'>`;
    const inner = html`<i>${name}</i>`;
    expect(String(html`<p title="${name}">${inner}${false}${undefined}${[1, "<"]}</p>`)).toBe(
      '<p title="&lt;b title=&quot;a&quot; &amp; &#39;b&#39;&gt;"><i>&lt;b title=&quot;a&quot; &amp; &#39;b&#39;&gt;</i>1&lt;</p>',
    );
  });
  test("an island cannot end its element", () => {
    const text = String(jsonIsland({ name: "</script><!--&\u2028" }));
    expect(text).not.toMatch(/[<>&\u2028]/);
    expect(JSON.parse(text)).toEqual({ name: "</script><!--&\u2028" });
  });
  test("shows what is invisible, in keys as well", () => {
    expect(visibleStrings({ "a\u202e": ["b\u0000", 1, null], c: { d: "\ud800\u{e0041}" } })).toEqual({
      "a\\u202e": ["b\\u0000", 1, null],
      c: { d: "\\ud800\\u{e0041}" },
    });
  });
  test("shortens the middle, by characters", () => {
    expect(shorten("abcdefghij", 5)).toBe("ab…ij");
    expect([...shorten("😀".repeat(20), 7)]).toHaveLength(7);
    expect(shorten("short", 10)).toBe("short");
  });
});

describe("roles", () => {
  test("are found in names of several kinds", () => {
    expect(placeOf("blk.12.ffn_down.weight")).toEqual({ layer: 12, role: "ffn_down" });
    expect(placeOf("blk.0.ffn_gate_exps.weight")).toEqual({ layer: 0, role: "ffn_gate_exps" });
    expect(placeOf("model.layers.3.mlp.down_proj.weight")).toEqual({ layer: 3, role: "mlp.down_proj" });
    expect(placeOf("v.blk.3.attn_q.weight")).toEqual({ layer: 3, role: "v.blk.attn_q" });
    expect(placeOf("token_embd.weight")).toEqual({ role: "token_embd" });
  });
  test("stand in the order in which a token meets them", () => {
    expect(sortRoles(["output", "ffn_down", "attn_output", "mystery", "attn_q", "token_embd"])).toEqual([
      "token_embd",
      "attn_q",
      "attn_output",
      "ffn_down",
      "mystery",
      "output",
    ]);
  });
});

test("luminance is WCAG's", () => {
  expect(luminance([255, 255, 255])).toBeCloseTo(1, 6);
  expect(luminance([0, 0, 0])).toBe(0);
  expect(luminance([119, 119, 119])).toBeCloseTo(0.1845, 3);
});
