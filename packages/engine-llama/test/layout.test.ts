import { describe, expect, test } from "vitest";
import { contextDefaults, modelDefaults, tensorFields, tensorOverhead, unlike } from "../src/layout.js";

describe("layouts", () => {
  test("a field that has moved shows in the defaults", () => {
    expect(unlike({ ...modelDefaults }, modelDefaults)).toEqual([]);
    expect(unlike({ ...modelDefaults, use_extra_bufts: false, load_mtp: true }, modelDefaults)).toEqual([
      "use_extra_bufts",
      "load_mtp",
    ]);
    const { n_ctx, ...without } = contextDefaults;
    expect(unlike(without, contextDefaults)).toEqual(["n_ctx"]);
    expect(unlike({ ...contextDefaults, n_batch: n_ctx }, contextDefaults)).toEqual(["n_batch"]);
  });

  test.skipIf(process.arch !== "x64" && process.arch !== "arm64")("fields of a tensor on 64 bits", () => {
    expect(tensorFields).toEqual({
      type: 0n,
      buffer: 8n,
      ne: 16n,
      nb: 16n + 4n * 8n,
      op: 48n + 4n * 8n,
      src: 80n + 4n + 16n * 4n + 4n,
      data: 152n + 10n * 8n + 8n + 8n,
      name: 248n + 8n,
    });
    expect(tensorOverhead).toBe(256 + 64 + 8 + 8 + 32);
  });
});
