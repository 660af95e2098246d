import * as Plot from "@observablehq/plot";
import type { Divergence } from "./data.js";
import { type Chart, logTicks, textWidth } from "./drawing.js";
import { shorten } from "./markup.js";
import { divergenceTick } from "./trade-chart.js";

/** A candidate's row in the chart of percentiles. */
export interface Rung {
  readonly label: string;
  readonly kld: Divergence;
}

const ROW = 34;
/** What lies further below the largest is drawn at the edge: the least divergences are rounding. */
const SPAN = 1e7;

/** How the divergence of single tokens is spread: one row per candidate, a logarithmic axis. */
export function ladderChart(rungs: readonly Rung[], width: number): Chart {
  const labels = rungs.map(({ label }) => shorten(label, width < 500 ? 12 : 24));
  const marginLeft = Math.max(...labels.map((label) => textWidth(label, 12))) + 12;
  const [low, high] = domain(rungs);
  // Logarithms on a linear axis: on a logarithmic one, the labels of some ticks would be left out.
  const inside = (value: number | undefined): number | undefined =>
    value === undefined || Number.isNaN(value) ? undefined : Math.log10(Math.min(Math.max(value, low), high));
  const rows = rungs.map(({ kld }, row) => {
    const { mean, median, max, p99, p999, p90, p10, p1, min } = kld;
    return {
      row,
      mean: inside(mean),
      median: inside(median),
      max: inside(max),
      p99: inside(p99),
      p999: inside(p999),
      p90: inside(p90),
      p10: inside(p10),
      end: inside(p999 ?? p99),
      start: inside(p1 ?? min),
    };
  });
  type Row = (typeof rows)[number];
  const having = (...keys: (keyof Row)[]): Row[] =>
    rows.filter((row) => keys.every((key) => row[key] !== undefined));
  const ticks = logTicks(low, high, (width - marginLeft) / 62).map(Math.log10);
  const dot = (key: keyof Row, style: object) => Plot.dot(having(key), { x: key, y: "row", ...style });
  return {
    label: `Chart: percentiles of the divergence of single tokens for ${rungs.length} candidates; the table below has the same figures.`,
    options: {
      width,
      height: rungs.length * ROW + 60,
      marginTop: 8,
      marginLeft,
      marginRight: 18,
      marginBottom: 46,
      x: { type: "linear", domain: [Math.log10(low), Math.log10(high)] },
      y: { type: "band", domain: rows.map(({ row }) => row), padding: 0.1 },
      marks: [
        Plot.gridX({ ticks, stroke: "var(--line)", strokeOpacity: 1 }),
        Plot.axisX({
          ticks,
          tickFormat: (power: number) => divergenceTick(10 ** power),
          tickSize: 0,
          label: "KL divergence of a token (nats, log scale)",
          labelAnchor: "center",
          labelArrow: "none",
          fill: "var(--muted)",
        }),
        Plot.axisY({
          tickFormat: (row: number) => labels[row],
          tickSize: 0,
          label: null,
          fill: "var(--ink)",
          className: "label",
        }),
        Plot.ruleY(having("start", "end"), {
          x1: "start",
          x2: "end",
          y: "row",
          stroke: "var(--accent)",
          strokeWidth: 1.5,
        }),
        Plot.barX(having("p10", "p90"), {
          x1: "p10",
          x2: "p90",
          y: "row",
          fill: "var(--band)",
          insetTop: 7,
          insetBottom: 7,
        }),
        Plot.tickX(having("median"), {
          x: "median",
          y: "row",
          stroke: "var(--ink)",
          strokeWidth: 2,
          insetTop: 5,
          insetBottom: 5,
        }),
        dot("p99", { r: 3.5, fill: "var(--accent)" }),
        dot("p999", { r: 3.5, fill: "var(--surface)", stroke: "var(--accent)", strokeWidth: 1.75 }),
        dot("max", { r: 4, symbol: "times", stroke: "var(--muted)", strokeWidth: 1.75 }),
        dot("mean", { r: 5, symbol: "diamond", fill: "var(--best)", stroke: "var(--surface)" }),
      ],
    },
  };
}

function domain(rungs: readonly Rung[]): [number, number] {
  const values = rungs.flatMap(({ kld }) => [
    kld.mean,
    kld.p10,
    kld.p1,
    kld.median,
    kld.p90,
    kld.p99,
    kld.p999,
    kld.max,
  ]);
  const positive = values.filter(
    (value): value is number => value !== undefined && value > 0 && value < Number.POSITIVE_INFINITY,
  );
  if (positive.length === 0) return [1e-6, 1];
  const most = Math.max(...positive) * 1.3;
  return [Math.max(Math.min(...positive) / 1.3, most / SPAN), most];
}
