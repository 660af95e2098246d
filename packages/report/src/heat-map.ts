import * as Plot from "@observablehq/plot";
import type { Candidate, TensorError } from "./data.js";
import { type Chart, textWidth } from "./drawing.js";
import { formatDecibels } from "./figures.js";
import { shorten } from "./markup.js";
import { placeOf, sortRoles } from "./roles.js";

/** Layers, roles and classes of colour, the same for the maps of all candidates, so that they can be compared. */
export interface HeatScale {
  /** Numbers of the layers, ascending: a column each, however far apart they are. */
  readonly layers: readonly number[];
  readonly roles: readonly string[];
  /** Decibels at which the next class begins, ascending: one fewer than there are classes. */
  readonly thresholds: readonly number[];
  /** Tensors that are exact in every candidate: they are not drawn. */
  readonly exact: readonly string[];
}

const MOST_CLASSES = 9;

/** Undefined where no tensor of any candidate lost anything. */
export function heatScale(candidates: readonly Candidate[]): HeatScale | undefined {
  const lossy = new Set<string>();
  const all = new Set<string>();
  const decibels: number[] = [];
  for (const { tensors = [] } of candidates)
    for (const { name, sqnr } of tensors) {
      all.add(name);
      if (sqnr === Number.POSITIVE_INFINITY) continue;
      lossy.add(name);
      if (Number.isFinite(sqnr)) decibels.push(sqnr);
    }
  if (lossy.size === 0) return undefined;
  const places = [...lossy].map(placeOf);
  return {
    layers: [...new Set(places.flatMap(({ layer }) => layer ?? []))].sort((a, b) => a - b),
    roles: sortRoles([...new Set(places.map(({ role }) => role))]),
    thresholds: thresholds(decibels),
    exact: [...all].filter((name) => !lossy.has(name)),
  };
}

/** Round numbers between the extremes. */
function thresholds(decibels: readonly number[]): number[] {
  const least = decibels.reduce((a, b) => Math.min(a, b), Number.POSITIVE_INFINITY);
  const most = decibels.reduce((a, b) => Math.max(a, b), Number.NEGATIVE_INFINITY);
  if (!(most > least)) return [];
  const step = [1, 2, 2.5, 5, 10, 20, 50].find((step) => (most - least) / step < MOST_CLASSES - 1) ?? 100;
  const first = Math.floor(least / step + 1) * step;
  return Array.from({ length: Math.ceil((most - first) / step) }, (_, i) => first + i * step);
}

/** 0 is the worst; undefined for what is no number. */
export function classOf(sqnr: number, thresholds: readonly number[]): number | undefined {
  if (Number.isNaN(sqnr)) return undefined;
  return thresholds.filter((threshold) => sqnr >= threshold).length;
}

const ROW = 26;

/**
 * Tensors as cells: layers from left to right, roles from top to bottom; what belongs to no layer is as wide as all.
 * @param numberOf by which the page's script finds the figures of a cell
 */
export function heatMap(
  candidate: string,
  tensors: readonly TensorError[],
  scale: HeatScale,
  numberOf: (name: string) => number,
): Chart {
  const { layers, roles, thresholds } = scale;
  const labels = roles.map((role) => shorten(role, 18));
  const marginLeft = Math.ceil(Math.max(...labels.map((label) => textWidth(label, 12)))) + 10;
  const columns = Math.max(layers.length, 1);
  // Whole pixels: sharp edges, and short numbers.
  const width = Math.min(54, Math.max(9, Math.floor(680 / columns)));
  const exact = new Set(scale.exact);
  const rows = new Map(roles.map((role, i) => [role, i]));
  const columnOf = new Map(layers.map((layer, i) => [layer, i]));
  const cells = tensors
    .filter(({ name }) => !exact.has(name))
    .map(({ name, sqnr }) => {
      const { layer, role } = placeOf(name);
      const column = layer === undefined ? undefined : columnOf.get(layer)!;
      return {
        name,
        sqnr,
        row: rows.get(role)!,
        x1: column ?? 0,
        x2: column === undefined ? columns : column + 1,
        kind: sqnr === Number.POSITIVE_INFINITY ? "exact" : String(classOf(sqnr, thresholds) ?? "nan"),
      };
    });
  // One mark for each class of colour, so that the colour is said once and not in every cell.
  const groups = [...new Set(cells.map(({ kind }) => kind))].map(
    (kind) => [kind, cells.filter((cell) => cell.kind === kind)] as const,
  );
  const worst = cells.reduce<(typeof cells)[number] | undefined>(
    (a, b) => (a === undefined || b.sqnr < a.sqnr ? b : a),
    undefined,
  );
  const every = Math.ceil(24 / width);
  const ticks = layers.flatMap((_, i) => (i % every === 0 ? i + 0.5 : []));
  return {
    label:
      `Heat map: error of ${cells.length} tensors of ${candidate}, ${layers.length} layers by ${roles.length} roles` +
      (worst === undefined ? "." : `; the worst is ${worst.name} at ${formatDecibels(worst.sqnr)} dB.`),
    numbers: { mark: "cell", of: groups.flatMap(([, group]) => group.map(({ name }) => numberOf(name))) },
    options: {
      width: Math.ceil(marginLeft + columns * width + 8),
      height: roles.length * ROW + 44,
      marginTop: 4,
      marginLeft,
      marginRight: 8,
      marginBottom: 40,
      x: { type: "linear", domain: [0, columns] },
      y: { type: "band", domain: roles.map((_, i) => i), padding: 0 },
      marks: [
        Plot.axisY({
          tickFormat: (row: number) => labels[row],
          tickSize: 0,
          label: null,
          fill: "var(--ink)",
        }),
        ...(layers.length === 0
          ? []
          : [
              Plot.axisX({
                ticks,
                tickFormat: (middle: number) => String(layers[middle - 0.5]),
                tickSize: 0,
                label: "layer",
                labelAnchor: "center",
                labelArrow: "none",
                fill: "var(--muted)",
              }),
            ]),
        ...groups.map(([kind, group]) =>
          Plot.barX(group, {
            x1: "x1",
            x2: "x2",
            y: "row",
            insetRight: 1,
            insetBottom: 1,
            fill: `var(--heat-${kind})`,
            className: "cell",
          }),
        ),
        ...(width < 30
          ? []
          : groups.map(([kind, group]) =>
              Plot.text(group, {
                x: ({ x1, x2 }) => (x1 + x2) / 2,
                y: "row",
                text: ({ sqnr }) => formatDecibels(sqnr),
                fill: `var(--on-heat-${kind})`,
                className: "figure",
              }),
            )),
      ],
    },
  };
}
