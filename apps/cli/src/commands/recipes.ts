import { type Entry, isFewbitError, type Recipe, type Registry } from "@fewbit/core";
import type { Command } from "commander";
import { table } from "../render.js";
import {
  type CommonOptions,
  examples,
  openSession,
  type Surroundings,
  withCommonOptions,
} from "../session.js";
import { bitsOfScheme } from "./schemes.js";

export function addRecipes(program: Command, world: Surroundings): void {
  withCommonOptions(program.command("recipes"))
    .description("List the recipes that are registered: which scheme each tensor of a model gets.")
    .addHelpText("after", examples("fewbit recipes", "fewbit recipes --json"))
    .action(async (options: CommonOptions) => {
      const session = openSession(world, options);
      const registry = await session.registry();
      const recipes = registry.recipes.map((entry) => describeRecipe(entry, registry));
      session.document({ recipes });
      session.print(
        table(
          [
            { title: "RECIPE" },
            { title: "BASE" },
            { title: "BASE BITS PER WEIGHT", align: "right" },
            { title: "SYMMETRY" },
            { title: "GRANULARITY" },
            { title: "IMPORTANCE" },
            { title: "PACKAGE" },
            { title: "SUMMARY" },
          ],
          recipes.map((row) => [
            row.id,
            row.base,
            row.bitsPerWeight === null ? "-" : row.bitsPerWeight.toFixed(4),
            row.symmetry ?? "-",
            row.granularity ?? "-",
            row.importance ?? (row.registered ? "-" : "scheme missing"),
            row.package,
            row.summary,
          ]),
        ),
      );
    });
}

function describeRecipe({ plugin, value }: Entry<Recipe>, registry: Registry) {
  const scheme = baseOf(value, registry);
  return {
    id: value.id,
    summary: value.summary,
    base: value.base,
    /** Of the scheme that most tensors get. */
    bitsPerWeight: scheme === undefined ? null : bitsOfScheme(scheme),
    symmetry: scheme?.symmetry ?? null,
    granularity: scheme?.granularity ?? null,
    importance: scheme?.importance ?? null,
    /** False where no plugin brings the base scheme: the recipe cannot be used yet. */
    registered: value.base === "keep" || scheme !== undefined,
    package: plugin.name,
  };
}

function baseOf(recipe: Recipe, registry: Registry) {
  if (recipe.base === "keep") return undefined;
  try {
    return registry.scheme(recipe.base).value;
  } catch (error) {
    if (isFewbitError(error, "E_SCHEME_UNKNOWN", "E_PLUGIN_CONFLICT")) return undefined;
    throw error;
  }
}
