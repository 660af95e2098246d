import type { Entry, Scheme } from "@fewbit/core";
import type { Command } from "commander";
import { table } from "../render.js";
import {
  type CommonOptions,
  examples,
  openSession,
  type Surroundings,
  withCommonOptions,
} from "../session.js";

/** Large enough that per-tensor and per-channel arrays are as small a part as in a real model. */
const SAMPLE = [4096, 4096] as const;

export function addSchemes(program: Command, world: Surroundings): void {
  withCommonOptions(program.command("schemes"))
    .description("List the schemes that are registered: how weights can be stored.")
    .addHelpText(
      "after",
      examples("fewbit schemes", "fewbit schemes --json", "fewbit schemes --plugin my-scheme"),
    )
    .action(async (options: CommonOptions) => {
      const session = openSession(world, options);
      const registry = await session.registry();
      session.document({ schemes: registry.schemes.map(describeScheme) });
      session.print(
        table(
          [
            { title: "SCHEME" },
            { title: "BITS PER WEIGHT", align: "right" },
            { title: "SYMMETRY" },
            { title: "GRANULARITY" },
            { title: "IMPORTANCE" },
            { title: "PACKAGE" },
            { title: "SUMMARY" },
          ],
          registry.schemes
            .map(describeScheme)
            .map((row) => [
              row.id,
              row.bitsPerWeight === null ? "-" : row.bitsPerWeight.toFixed(4),
              row.symmetry,
              row.granularity,
              row.importance,
              row.package,
              row.summary,
            ]),
        ),
      );
    });
}

/** Bits per weight of a 4096 × 4096 tensor; null where a scheme does not fit one. */
export function bitsOfScheme(scheme: Scheme): number | null {
  const parts = scheme.layout(SAMPLE);
  if ("unfit" in parts) return null;
  const bytes = parts.reduce((sum, part) => sum + part.bytes, 0);
  return (bytes * 8) / (SAMPLE[0] * SAMPLE[1]);
}

const describeScheme = ({ plugin, value }: Entry<Scheme>) => ({
  id: value.id,
  summary: value.summary,
  bitsPerWeight: bitsOfScheme(value),
  symmetry: value.symmetry,
  granularity: value.granularity,
  importance: value.importance,
  minSqnr: value.minSqnr,
  package: plugin.name,
});
