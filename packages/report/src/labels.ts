// Labels beside points, so that none covers another, a point, or a line.

/** An area that labels stay away from, in pixels. */
export interface Box {
  readonly left: number;
  readonly top: number;
  readonly right: number;
  readonly bottom: number;
}

/** A point to be labelled. */
export interface Labelled {
  readonly x: number;
  readonly y: number;
  /** Of the text. */
  readonly width: number;
  readonly height: number;
}

/** Where the middle of a label's left end, centre or right end is to be, relative to its point. */
export interface Placement {
  readonly dx: number;
  readonly dy: number;
  readonly anchor: "start" | "middle" | "end";
}

const overlap = (a: Box, b: Box): number =>
  Math.max(0, Math.min(a.right, b.right) - Math.max(a.left, b.left)) *
  Math.max(0, Math.min(a.bottom, b.bottom) - Math.max(a.top, b.top));

/** Distance from a point's middle to its label. */
const GAP = 9;

function places({ height }: Labelled): Placement[] {
  const up = -(GAP + height / 2);
  const down = GAP + height / 2;
  const near = 0.9;
  return [
    { dx: GAP, dy: up * near, anchor: "start" },
    { dx: GAP, dy: 0, anchor: "start" },
    { dx: -GAP, dy: down * near, anchor: "end" },
    { dx: GAP, dy: down * near, anchor: "start" },
    { dx: -GAP, dy: 0, anchor: "end" },
    { dx: -GAP, dy: up * near, anchor: "end" },
    { dx: 0, dy: up, anchor: "middle" },
    { dx: 0, dy: down, anchor: "middle" },
    { dx: 2.5 * GAP, dy: 1.8 * up, anchor: "start" },
    { dx: -2.5 * GAP, dy: 1.8 * down, anchor: "end" },
  ];
}

function boxOf({ x, y, width, height }: Labelled, { dx, dy, anchor }: Placement): Box {
  const left = x + dx - (anchor === "start" ? 0 : anchor === "end" ? width : width / 2);
  return { left, right: left + width, top: y + dy - height / 2, bottom: y + dy + height / 2 };
}

/**
 * A place for each label, in the order of the points, the first being the most important; undefined where there is
 * none that is free of other labels and inside the frame. Lines and points are avoided as far as possible.
 */
export function placeLabels(
  points: readonly Labelled[],
  obstacles: readonly Box[],
  frame: Box,
): (Placement | undefined)[] {
  const taken: Box[] = [];
  const dots = points.map(({ x, y }) => ({ left: x - 6, right: x + 6, top: y - 6, bottom: y + 6 }));
  return points.map((point, own) => {
    let best: Placement | undefined;
    let least = Number.POSITIVE_INFINITY;
    for (const [preference, place] of places(point).entries()) {
      const box = boxOf(point, place);
      if (
        box.left < frame.left ||
        box.right > frame.right ||
        box.top < frame.top ||
        box.bottom > frame.bottom
      )
        continue;
      if (taken.some((other) => overlap(box, other) > 0)) continue;
      if (dots.some((dot, i) => i !== own && overlap(box, dot) > 0)) continue;
      const cost =
        obstacles.reduce((area, other) => area + overlap(box, other), 0) / point.height + preference * 0.25;
      if (cost < least) [best, least] = [place, cost];
    }
    if (best !== undefined) taken.push(boxOf(point, best));
    return best;
  });
}
