// The lowest floor that sees formats and schemes together: what GGUF says of a type's blocks and what its scheme says
// must be the same.
import { createRegistry } from "@fewbit/core";
import { reader, tensorTypes, writer } from "@fewbit/format-gguf";
import { testWriter } from "@fewbit/testing";
import { expect, test } from "vitest";
import { bundled } from "../src/plugins.js";

const schemes = createRegistry(bundled).schemes.map(({ value }) => value);

testWriter(writer, { test, reader, schemes });

test.each(schemes.map((scheme) => [scheme.id, scheme] as const))(
  "a block of %s is what GGUF says",
  (id, scheme) => {
    const { block, bytes } = tensorTypes.get(id)!;
    expect(scheme.layout([3, block * 2])).toEqual([
      expect.objectContaining({ name: "", bytes: 3 * 2 * bytes, per: "row" }),
    ]);
    if (block > 1) expect(scheme.layout([1, block + 1])).toHaveProperty("unfit");
  },
);
