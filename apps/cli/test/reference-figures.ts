// What llama-perplexity printed: figures with as many digits as it gives.
import { readFileSync } from "node:fs";
import { expect } from "vitest";

/** A figure as printed. */
export interface Printed {
  readonly value: number;
  readonly error: number | undefined;
  /** Of the last digit. */
  readonly unit: number;
}

/** Name of a model → name of a figure → what was printed. */
export function readFigures(path: string): ReadonlyMap<string, ReadonlyMap<string, Printed>> {
  const figures = new Map<string, Map<string, Printed>>();
  let own = new Map<string, Printed>();
  for (const line of readFileSync(path, "utf8").split("\n")) {
    const title = /^== (.+)$/.exec(line);
    if (title !== null) {
      own = new Map();
      figures.set(title[1]!, own);
      continue;
    }
    const printed = /^(.+?) *[:=] +(?:PPL = )?(-?\d+\.(\d+))%?(?: (?:±|\+\/-) +(\d+\.\d+))?/.exec(line);
    if (printed === null) continue;
    const [, name, value, digits, error] = printed;
    own.set(name!.trim().replace(/ +/g, " "), {
      value: Number(value),
      error: error === undefined ? undefined : Number(error),
      unit: 10 ** -digits!.length,
    });
  }
  return figures;
}

/** That a figure prints as it was printed, but for the last digit, in which the order of sums shows. */
export function expectPrinted(name: string, found: number, { value, unit }: Printed, error = 0): void {
  expect(Math.abs(found - value), `${name}: ${found} instead of ${value}`).toBeLessThan(1.6 * unit + error);
}
