// Numbers as people read them. A dash stands for what was not measured.
import type { Estimate } from "./data.js";

const DASH = "–";

/** Decimal units, as disks and download pages count. */
export function formatBytes(bytes: number): string {
  const units = ["B", "kB", "MB", "GB", "TB"];
  let value = bytes;
  let unit = 0;
  while (value >= 999.5 && unit < units.length - 1) {
    value /= 1000;
    unit++;
  }
  return `${unit === 0 ? value : value.toPrecision(3)} ${units[unit]}`;
}

/** `3.74 M`: how many, in three digits. */
export function formatCount(count: number): string {
  const units = ["", " k", " M", " G", " T"];
  let value = count;
  let unit = 0;
  while (value >= 999.5 && unit < units.length - 1) {
    value /= 1000;
    unit++;
  }
  return unit === 0 ? String(value) : value.toPrecision(3) + units[unit];
}

/** A number without a typographic surprise: a real minus sign, and words for what is no number. */
function plain(value: number, text: (value: number) => string): string {
  if (Number.isNaN(value)) return "not a number";
  if (!Number.isFinite(value)) return value > 0 ? "∞" : "−∞";
  return text(value).replace(/-/g, "−");
}

export const formatFixed = (value: number | undefined, digits: number): string =>
  value === undefined ? DASH : plain(value, (finite) => finite.toFixed(digits));

/** Divergences span many orders of magnitude: `digits` significant ones, and an exponent only far below one. */
export const formatSmall = (value: number | undefined, digits = 3): string =>
  value === undefined
    ? DASH
    : plain(value, (finite) => {
        if (finite === 0) return "0";
        if (Math.abs(finite) >= 1e-6 && Math.abs(finite) < 1e6) {
          const places = Math.max(0, digits - 1 - Math.floor(Math.log10(Math.abs(finite))));
          return finite.toFixed(Math.min(places, 12));
        }
        return finite.toExponential(digits - 1);
      });

export const formatPercent = (fraction: number | undefined, digits = 1): string =>
  value(fraction, (finite) => `${(finite * 100).toFixed(digits)} %`);

/** `+6.4 %`: a change, always with its sign. */
export const formatChange = (fraction: number | undefined, digits = 1): string =>
  value(fraction, (finite) => `${finite > 0 ? "+" : ""}${(finite * 100).toFixed(digits)} %`);

/** Decibels of a signal-to-noise ratio: Infinity is "exact". */
export const formatDecibels = (value: number | undefined, digits = 1): string =>
  value === Number.POSITIVE_INFINITY ? "exact" : formatFixed(value, digits);

const value = (figure: number | undefined, text: (value: number) => string): string =>
  figure === undefined ? DASH : plain(figure, text);

/** Digits after the point that say as much as the error does: two of its own. */
export function digitsOf({ value, error }: Estimate, atMost = 6): number {
  if (error !== undefined && error > 0 && Number.isFinite(error))
    return Math.min(atMost, Math.max(0, 1 - Math.floor(Math.log10(error))));
  if (value === 0 || !Number.isFinite(value)) return 2;
  return Math.min(atMost, Math.max(0, 3 - Math.floor(Math.log10(Math.abs(value)))));
}
