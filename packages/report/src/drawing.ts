// Observable Plot on a document of linkedom, written out by our own serializer: every text and attribute is escaped,
// coordinates are rounded, and nothing of a style stays that the page's content security policy would refuse.
import * as Plot from "@observablehq/plot";
import { parseHTML } from "linkedom";
import { escapeHtml, Markup } from "./markup.js";

/** A chart as inline SVG. */
export interface Chart {
  /** What a screen reader says in place of the picture. */
  readonly label: string;
  readonly options: Plot.PlotOptions;
  /** `data-i` for the elements of the marks of a class, in the order in which they are drawn. */
  readonly numbers?: { readonly mark: string; readonly of: readonly number[] };
}

const { document } = parseHTML("<!doctype html><html><body></body></html>");

/** The chart at its natural width; the page's style lets it shrink. */
export function draw({ label, options, numbers }: Chart): Markup {
  const svg = Plot.plot({ ...options, document: document as unknown as Document, className: "plot" });
  svg.setAttribute("role", "img");
  svg.setAttribute("aria-label", label);
  if (numbers !== undefined) {
    // Plot has no way to say this itself.
    const elements = [...svg.querySelectorAll(`g.${numbers.mark}`)].flatMap((group) => [...group.children]);
    for (const [i, element] of elements.entries()) element.setAttribute("data-i", String(numbers.of[i]));
  }
  return new Markup(serialize(svg));
}

const geometry = new Set(
  "d transform x y x1 x2 y1 y2 cx cy r width height viewBox dx dy stroke-width".split(" "),
);
const fractions = /-?\d+\.\d{2,}(?:e-?\d+)?/g;

/** Refused by the policy, the page's own affair, or what Plot says of itself to readers for whom this is one picture. */
const dropped = (tag: string, name: string): boolean =>
  name === "style" || name.startsWith("font-") || (tag !== "svg" && name.startsWith("aria-"));

function serialize(node: Node): string {
  if (node.nodeType === 3) return escapeHtml(node.textContent ?? "");
  if (node.nodeType !== 1) return "";
  const element = node as Element;
  const tag = element.localName;
  if (tag === "style") return "";
  const attributes = [...element.attributes]
    .filter(({ name }) => !dropped(tag, name))
    .map(({ name, value }) => {
      const short = geometry.has(name)
        ? value.replace(fractions, (n) => String(Number(Number(n).toFixed(1))))
        : value;
      return ` ${name}="${escapeHtml(short)}"`;
    })
    .join("");
  return `<${tag}${attributes}>${[...element.childNodes].map(serialize).join("")}</${tag}>`;
}

/** Width of a text of the charts, generously: fonts differ from machine to machine. */
export const textWidth = (text: string, size: number): number =>
  [...text].reduce(
    (width, character) => width + (character.codePointAt(0)! > 0x2e80 ? 1.05 : 0.63) * size,
    0,
  );

/**
 * Powers of ten, with 3 or with 2 and 5 between them where there are few.
 * @param most as many as there is room for
 */
export function logTicks(from: number, to: number, most = 8): number[] {
  const decades = Math.log10(to / from);
  const steps = decades * 3 <= most ? [1, 2, 5] : decades * 2 <= most ? [1, 3] : [1];
  const every = Math.max(1, Math.ceil(decades / most));
  const ticks: number[] = [];
  for (let power = Math.floor(Math.log10(from)); power <= Math.ceil(Math.log10(to)); power++) {
    if (power % every !== 0) continue;
    for (const step of steps) {
      const tick = Number(`${step}e${power}`);
      if (tick >= from && tick <= to) ticks.push(tick);
    }
  }
  return ticks;
}
