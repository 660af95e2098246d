import * as Plot from "@observablehq/plot";
import { type Chart, textWidth } from "./drawing.js";
import { formatSmall } from "./figures.js";
import { type Box, placeLabels } from "./labels.js";
import { shorten } from "./markup.js";

/** A candidate in the chart of size against loss. */
export interface TradePoint {
  readonly label: string;
  /** A second, smaller line. */
  readonly detail: string;
  readonly size: number;
  /** At 0 and below it is drawn on the lower edge. */
  readonly loss: number;
  /** Half the length of the error bar. */
  readonly error: number;
  readonly onFront: boolean;
  readonly best: boolean;
}

/** What the axes are. */
export interface TradeAxes {
  readonly size: string;
  readonly loss: string;
  /** Losses to be marked, of a range. */
  readonly ticks: (low: number, high: number) => readonly number[];
  /** In the unit of the axis, from the loss. */
  readonly tick: (loss: number) => string;
}

const FONT = 12;
const margin = { top: 48, right: 18, bottom: 46, left: 52 };

/** Points must be finite in size and loss. */
export function tradeChart(
  points: readonly TradePoint[],
  axes: TradeAxes,
  width: number,
  height: number,
): Chart {
  const [left, right] = sizeDomain(points.map(({ size }) => size));
  const [low, high] = lossDomain(points);
  // Logarithms are drawn on a linear axis: on a logarithmic one, the labels of some ticks would be left out.
  const [bottom, top] = [Math.log10(low), Math.log10(high)];
  const heightOf = (loss: number): number => Math.log10(Math.max(loss, low));
  const xScale = (size: number): number =>
    margin.left + ((size - left) / (right - left)) * (width - margin.left - margin.right);
  const yScale = (at: number): number =>
    margin.top + ((top - at) / (top - bottom)) * (height - margin.top - margin.bottom);

  const drawn = points
    .map((point) => ({
      ...point,
      y: heightOf(point.loss),
      lower: heightOf(point.loss - point.error),
      upper: heightOf(point.loss + point.error),
      text: shorten(point.label, width < 500 ? 14 : 24),
    }))
    // The most important first: they choose the places of their labels first.
    .sort(
      (a, b) => Number(b.best) - Number(a.best) || Number(b.onFront) - Number(a.onFront) || a.size - b.size,
    );
  const front = drawn.filter(({ onFront }) => onFront).sort((a, b) => a.size - b.size);
  const detailed = points.length <= 12;

  const placements = placeLabels(
    drawn.map(({ size, y, text, detail }) => ({
      x: xScale(size),
      y: yScale(y),
      width: Math.max(textWidth(text, FONT), detailed ? textWidth(detail, FONT - 1) : 0),
      height: detailed ? 2.3 * FONT : 1.2 * FONT,
    })),
    [
      ...frontBoxes(front.map(({ size, y }) => [xScale(size), yScale(y)])),
      ...errorBoxes(drawn, xScale, yScale),
    ],
    { left: margin.left + 2, right: width - 4, top: margin.top - 28, bottom: height - margin.bottom - 2 },
  );

  const labels = drawn.flatMap((point, i) => {
    const place = placements[i];
    if (place === undefined) return [];
    const at = {
      x: [point.size],
      y: [point.y],
      dx: place.dx,
      textAnchor: place.anchor,
      stroke: "var(--surface)",
      strokeWidth: 3,
    } as const;
    const half = detailed ? 0.55 * FONT : 0;
    return [
      Plot.text([point.text], {
        ...at,
        dy: place.dy - half,
        fill: point.onFront ? "var(--ink)" : "var(--muted)",
        className: point.best ? "label strong" : "label",
      }),
      ...(detailed
        ? [
            Plot.text([point.detail], {
              ...at,
              dy: place.dy + half + 1,
              fill: "var(--muted)",
              className: "label detail",
            }),
          ]
        : []),
    ];
  });

  const ticks = axes.ticks(low, high).map(Math.log10);
  const title = (point: TradePoint): string => `${point.label}\n${point.detail}\n${axes.tick(point.loss)}`;
  const dots = (kind: string, some: typeof drawn, style: object) =>
    some.length === 0
      ? []
      : [Plot.dot(some, { x: "size", y: "y", title, className: `dot ${kind}`, ...style })];
  const exact = drawn.filter(({ loss }) => loss <= 0);
  const lossy = drawn.filter(({ loss }) => loss > 0);
  return {
    label: `Chart: ${axes.loss} against ${axes.size}. ${points.length} candidates; the table below has the same figures.`,
    options: {
      width,
      height,
      marginTop: margin.top,
      marginRight: margin.right,
      marginBottom: margin.bottom,
      marginLeft: margin.left,
      x: { type: "linear", domain: [left, right] },
      y: { type: "linear", domain: [bottom, top] },
      marks: [
        Plot.gridX({ ticks: width / 90, stroke: "var(--line)", strokeOpacity: 1 }),
        Plot.gridY({ ticks, stroke: "var(--line)", strokeOpacity: 1 }),
        Plot.axisX({
          ticks: width / 90,
          label: axes.size,
          labelAnchor: "center",
          labelArrow: "none",
          tickSize: 0,
          fill: "var(--muted)",
        }),
        Plot.axisY({
          ticks,
          label: axes.loss,
          labelArrow: "none",
          tickSize: 0,
          tickFormat: (power: number) => axes.tick(10 ** power),
          fill: "var(--muted)",
        }),
        Plot.line(front, {
          x: "size",
          y: "y",
          curve: "step-after",
          stroke: "var(--accent)",
          strokeWidth: 1.5,
          strokeDasharray: "5 4",
        }),
        Plot.ruleX(
          lossy.filter(({ error }) => error > 0),
          { x: "size", y1: "lower", y2: "upper", stroke: "var(--ink)", strokeWidth: 1.5 },
        ),
        ...dots(
          "beaten",
          lossy.filter(({ onFront }) => !onFront),
          { r: 5, fill: "var(--surface)", stroke: "var(--muted)", strokeWidth: 1.75 },
        ),
        ...dots(
          "front",
          lossy.filter(({ onFront, best }) => onFront && !best),
          { r: 5, fill: "var(--accent)", stroke: "var(--surface)" },
        ),
        ...dots(
          "best",
          lossy.filter(({ best }) => best),
          { r: 10, symbol: "star", fill: "var(--best)", stroke: "var(--surface)" },
        ),
        ...dots("exact", exact, {
          r: 6,
          symbol: "triangle2",
          fill: "var(--accent)",
          stroke: "var(--surface)",
        }),
        ...labels,
      ],
    },
  };
}

function sizeDomain(sizes: readonly number[]): [number, number] {
  const [least, most] = [Math.min(...sizes), Math.max(...sizes)];
  const pad = most > least ? (most - least) * 0.08 : Math.max(most, 1) * 0.2;
  return [Math.max(0, least - pad), most + pad * 2];
}

function lossDomain(points: readonly TradePoint[]): [number, number] {
  const lossy = points.filter(({ loss }) => loss > 0);
  if (lossy.length === 0) return [1e-6, 1];
  const least = Math.min(...lossy.map(({ loss, error }) => (loss > error ? loss - error : loss)));
  const most = Math.max(...lossy.map(({ loss, error }) => loss + error));
  // At least a decade, so that near equals do not look far apart.
  const room = Math.max(1.6, Math.sqrt(10 / (most / least)));
  return [least / room, most * room];
}

/** The steps of the front as thin boxes. */
function frontBoxes(front: readonly (readonly [number, number])[]): Box[] {
  const around = (x1: number, y1: number, x2: number, y2: number): Box => ({
    left: Math.min(x1, x2) - 1,
    right: Math.max(x1, x2) + 1,
    top: Math.min(y1, y2) - 1,
    bottom: Math.max(y1, y2) + 1,
  });
  return front.slice(1).flatMap(([x, y], i) => {
    const [x0, y0] = front[i]!;
    return [around(x0, y0, x, y0), around(x, y0, x, y)];
  });
}

const errorBoxes = (
  points: readonly { readonly size: number; readonly lower: number; readonly upper: number }[],
  x: (size: number) => number,
  y: (loss: number) => number,
): Box[] =>
  points.map(({ size, lower, upper }) => ({
    left: x(size) - 2,
    right: x(size) + 2,
    top: y(upper),
    bottom: y(lower),
  }));

/** Ticks of a divergence. */
export const divergenceTick = (nats: number): string => formatSmall(nats, 1);
