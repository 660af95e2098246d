import { describe, expect, test } from "vitest";
import { blocksOf, matches, pages, readPage, runPage } from "./docs.js";

describe("every page does what it says", () => {
  test.each(pages)("%s", { timeout: 300_000 }, (page) => {
    runPage(readPage(page));
  });
});

// The runner is worth what it refuses. ''' stands for a fence here.
const page = (text: string): string => text.replaceAll("'''", "```");

describe("the runner of pages", () => {
  test("runs, writes and compares", () => {
    const ran = runPage(
      page(`# A page

'''json [facts.json]
{ "bits": 4 }
'''

'''ts [print.ts]
import { readFileSync } from "node:fs";
const { bits }: { bits: number } = JSON.parse(readFileSync("facts.json", "utf8"));
console.log(bits, "bits");
console.error("and done");
'''

'''sh
npx tsx print.ts
ls node_modules/@fewbit/core/package.json
'''

'''text
4 bits
and …
node_modules/…/package.json
'''

'''js
console.log(1 + 1);
'''

'''text
2
'''

'''sh no-run: an example
rm -rf /
'''
`),
    );
    expect(ran).toBe(6);
  });

  test.each([
    [
      "a command that fails",
      "'''sh\necho before; false\n'''",
      /line 1: it ended with status 1.\n--- it printed\nbefore/,
    ],
    ["a command that fails inside a pipe", "'''sh\nfalse | cat\n'''", /status 1/],
    ["code that throws", "'''ts\nthrow new Error('no');\n'''", /status 1.\n[\s\S]*Error: no/],
    [
      "other output",
      "'''sh\necho '# fail 2'\n'''\n'''text\n# fail 0\n'''",
      /line 4: the output differs[\s\S]*# fail 2/,
    ],
    ["output that nothing printed", "'''text\nhello\n'''", /line 1: nothing has printed this/],
    ["an excuse without a reason", "'''sh no-run:\nls\n'''", /line 1: say why/],
    ["an excuse that is none", "'''sh skip\nls\n'''", /what does "skip" mean/],
    [
      "an unknown language",
      "text\n\n'''yaml\na: 1\n'''",
      /line 3: a block of "yaml" is neither run nor excused/,
    ],
    ["a block without a language", "'''\nls\n'''", /a block of "" is neither run nor excused/],
    ["data without a name", "'''json\n{}\n'''", /a block of "json" is neither run nor excused/],
    ["a file that nobody uses", "'''ts [a.ts]\n1;\n'''", /a.ts is written and never used/],
    ["a file outside", "'''ts [../a.ts]\n1;\n'''\n'''sh\nls ../a.ts\n'''", /not the name of a file here/],
    ["a block that is not closed", "'''sh\nls\n", /line 1: the block is not closed/],
    ["a block in a list", "* do\n  '''sh\n  ls\n  '''", /line 2: a block must begin and end/],
    ["an installation", "'''sh\nnpm install no-such-package-of-fewbit\n'''", /it ended with status 1/],
  ])("refuses %s", (_, text, message) => {
    expect(() => runPage(page(text))).toThrow(message);
  });

  test("compares exactly but for …", () => {
    expect(matches("a\nb\n", "a\nb\n")).toBe(true);
    expect(matches("a\nb\n", "\na  \nb\n\n")).toBe(true);
    expect(matches("a\n…\nd\n", "a\nd\n")).toBe(true);
    expect(matches("a\n…\nd\n", "a\nb\nc\nd\n")).toBe(true);
    expect(matches("a … c\n", "a 1.5 c\n")).toBe(true);
    expect(matches("a … c\n", "a 1.5\nc\n")).toBe(false);
    expect(matches("a\n", "a\nb\n")).toBe(false);
    expect(matches("a\nb\n", "a\n")).toBe(false);
    expect(matches("1.5 (x)\n", "1x5 (x)\n")).toBe(false);
    expect(matches("a\n…\n", "b\n")).toBe(false);
  });

  test("knows where blocks are", () => {
    expect(blocksOf(page("x\n'''ts [a.ts]\n1;\n2;\n'''\n"))).toEqual([
      { line: 2, language: "ts", rest: "[a.ts]", body: "1;\n2;\n" },
    ]);
  });
});
