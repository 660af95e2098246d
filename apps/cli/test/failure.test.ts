import { type ErrorCode, FewbitError, toFailure } from "@fewbit/core";
import { CommanderError } from "commander";
import { expect, test } from "vitest";
import { endingOf, failureJson, describe as sentenceOf } from "../src/failure.js";

const text = (error: FewbitError): string => sentenceOf(toFailure(error));

test("code, file, what, byte, field path, remedy", () => {
  expect(
    text(
      new FewbitError(
        "E_GGUF_SHAPE",
        "The tensor would need 2^70 bytes.",
        { file: "a.gguf", offset: 120, key: "tensor[3].dims[1]" },
        "Download it again.",
      ),
    ),
  ).toBe(
    "error[E_GGUF_SHAPE] a.gguf: The tensor would need 2^70 bytes, at byte 120 (tensor[3].dims[1]). Download it again.",
  );
});

test("what the message says already is not said twice", () => {
  expect(
    text(
      new FewbitError("E_NONFINITE", "blk.3.ffn_down.weight has NaN at row 300, column 5", {
        file: "m.gguf",
        tensor: "blk.3.ffn_down.weight",
        row: 300,
        column: 5,
        offset: 18874372,
      }),
    ),
  ).toBe("error[E_NONFINITE] m.gguf: blk.3.ffn_down.weight has NaN at row 300, column 5, at byte 18874372.");
  expect(text(new FewbitError("E_NONFINITE", "a weight is NaN", { tensor: "t", row: 1 }))).toBe(
    "error[E_NONFINITE] a weight is NaN (tensor t, row 1).",
  );
});

test("names cannot act on the terminal", () => {
  expect(text(new FewbitError("E_IO", "no \x1b[2J\nx", { file: "a\u202eb" }))).toBe(
    "error[E_IO] a\\u202eb: no \\x1b[2J\\x0ax.",
  );
});

test("exit status", () => {
  const cases: [unknown, number, string | undefined][] = [
    [new CommanderError(1, "commander.unknownOption", "error: unknown option '--x'"), 2, "E_USAGE"],
    [new CommanderError(0, "commander.version", "1.0.0"), 0, undefined],
    [new FewbitError("E_GGUF_MAGIC", "x"), 3, "E_GGUF_MAGIC"],
    [new FewbitError("E_SPACE", "x"), 4, "E_SPACE"],
    [new FewbitError("E_BUSY", "x"), 5, "E_BUSY"],
    [new FewbitError("E_ABORTED", "x"), 130, "E_ABORTED"],
    [
      Object.assign(new Error("EACCES: permission denied, open 'x'"), {
        code: "EACCES",
        syscall: "open",
        path: "x",
      }),
      4,
      "E_IO",
    ],
    [Object.assign(new Error("ENOSPC: no space left"), { code: "ENOSPC", syscall: "write" }), 4, "E_SPACE"],
    [new FewbitError("E_OF_TOMORROW" as ErrorCode, "x"), 1, "E_OF_TOMORROW"],
    [new TypeError("oops"), 1, "E_INTERNAL"],
    ["thrown text", 1, "E_INTERNAL"],
  ];
  for (const [thrown, exit, code] of cases) {
    const ending = endingOf(thrown);
    expect([ending.exit, ending.failure?.code]).toEqual([exit, code]);
  }
});

test("what nobody foresaw is called a bug, with what to do about it", () => {
  expect(sentenceOf(endingOf(new TypeError("oops")).failure!)).toBe(
    "error[E_INTERNAL] oops. This is a bug: please report it with what --debug adds.",
  );
});

test("usage errors of the parser read like every other", () => {
  const { failure } = endingOf(
    new CommanderError(1, "commander.unknownOption", "error: unknown option '--x'"),
  );
  expect(sentenceOf(failure!)).toBe(
    "error[E_USAGE] Unknown option '--x'. Run \"fewbit --help\" to see what there is.",
  );
});

test("JSON has the same fields, and a stack only when asked for", () => {
  const failure = toFailure(new FewbitError("E_IO", "x", { file: "a", offset: 7 }, "Do."));
  expect(failureJson(failure, false)).toEqual({
    error: { code: "E_IO", message: "x", file: "a", offset: 7, remedy: "Do." },
  });
  expect(failureJson(failure, true).error.stack).toContain("FewbitError");
});
