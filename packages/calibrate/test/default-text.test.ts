import { createHash } from "node:crypto";
import { expect, test } from "vitest";
import { defaultText } from "../src/index.js";

const { name, text } = defaultText();

test("the default text is the one that its name stands for", () => {
  // Matrices say the name: where this changes, the number in the name must, too.
  expect(name).toBe("fewbit default text 1");
  expect(createHash("sha256").update(text).digest("hex")).toBe(
    "7feaa435fdc4aa543a4bd224b953ca485c0c3720fb6dc28683bad25ef24e8851",
  );
  expect(defaultText()).toEqual({ name, text });
});

test("is long, of many kinds, and well formed", () => {
  expect(Buffer.byteLength(text)).toBeGreaterThan(200_000);
  expect(text).not.toMatch(/\{\w|undefined|NaN| {2}\n/);
  expect(Buffer.from(text).toString()).toBe(text);
  for (const part of [
    /def \w+\(/,
    /SELECT /,
    /<\|im_start\|>user\n/,
    /^\| item/m,
    /Bahnhof|Fluss/,
    /[а-я]{5}/,
    /[一-龯]{5}/,
    /[ぁ-ん]{3}/,
    /[가-힣]{3}/,
    /[ء-ي]{4}/,
    /[अ-ह]/,
  ])
    expect(text).toMatch(part);
});

test("its sums are right", () => {
  let checked = 0;
  for (const [, a, op, b, c] of text.matchAll(/^(\d+) ([+×÷-]) (\d+) = (-?\d+)$/gm)) {
    const [x, y] = [Number(a), Number(b)];
    expect({ "+": x + y, "-": x - y, "×": x * y, "÷": x / y }[op!]).toBe(Number(c));
    checked++;
  }
  expect(checked).toBeGreaterThan(30);
});

test("says few things twice", () => {
  const paragraphs = text.split("\n\n").filter((paragraph) => paragraph.length > 200);
  expect(new Set(paragraphs).size / paragraphs.length).toBeGreaterThan(0.98);
});
