// Colours of the heat map: one perceptually even ramp (inferno), so that order survives every kind of colour blindness
// and a black-and-white print. What is worst stands out from the page: dark on light, light on dark.

const stops = [
  [0x16, 0x0b, 0x39],
  [0x42, 0x0a, 0x68],
  [0x6a, 0x17, 0x6e],
  [0x93, 0x26, 0x67],
  [0xbc, 0x37, 0x54],
  [0xdd, 0x51, 0x3a],
  [0xf3, 0x78, 0x19],
  [0xfc, 0xa5, 0x0a],
  [0xf6, 0xd7, 0x46],
  [0xfb, 0xf3, 0xa6],
] as const;

type Colour = readonly [number, number, number];

/** @param at from 0, the darkest, to 1 */
function colourAt(at: number): Colour {
  const place = Math.min(Math.max(at, 0), 1) * (stops.length - 1);
  const below = Math.min(Math.floor(place), stops.length - 2);
  const mix = (i: 0 | 1 | 2): number =>
    Math.round(stops[below]![i] + (stops[below + 1]![i] - stops[below]![i]) * (place - below));
  return [mix(0), mix(1), mix(2)];
}

const hex = (colour: Colour): string =>
  `#${colour.map((part) => part.toString(16).padStart(2, "0")).join("")}`;

/** Relative luminance, as WCAG defines it: from 0 to 1. */
export function luminance([r, g, b]: Colour): number {
  const linear = (part: number): number => {
    const s = part / 255;
    return s <= 0.04045 ? s / 12.92 : ((s + 0.055) / 1.055) ** 2.4;
  };
  return 0.2126 * linear(r) + 0.7152 * linear(g) + 0.0722 * linear(b);
}

/** Black or white, whichever can be read on it better: at least 4.5 to 1 for any colour. */
const readableOn = (colour: Colour): string => (luminance(colour) > 0.179 ? "#000" : "#fff");

/** In light and in dark, as CSS has it. */
export type ThemedColour = readonly [string, string];

/** Names and colours of each class, 0 the worst, and of text on it. */
export function rampColours(classes: number): (readonly [string, ThemedColour])[] {
  return Array.from({ length: classes }, (_, i) => {
    const at = classes === 1 ? 0.5 : i / (classes - 1);
    const [light, dark] = [colourAt(at), colourAt(1 - at)];
    return [
      [`heat-${i}`, [hex(light), hex(dark)]],
      [`on-heat-${i}`, [readableOn(light), readableOn(dark)]],
    ] as const;
  }).flat();
}
