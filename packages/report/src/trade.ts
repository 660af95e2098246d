// Which candidates are worth taking: those that no other beats in both size and error, and among them the best trade.

/** A candidate as a point: both the less the better. */
export interface Offer {
  readonly size: number;
  readonly loss: number;
}

/** Smallest first: the offers of which no other is at least as small and as good, and better in one. NaN never counts. */
export function paretoFront<T extends Offer>(offers: readonly T[]): T[] {
  const comparable = offers.filter(({ size, loss }) => Number.isFinite(size) && !Number.isNaN(loss));
  comparable.sort((a, b) => a.size - b.size || a.loss - b.loss);
  let best = Number.POSITIVE_INFINITY;
  return comparable.filter(({ loss }, i) => {
    const better = i === 0 || loss < best;
    if (better) best = loss;
    return better;
  });
}

/**
 * The knee of a front of at least three: the offer furthest below the straight line between its ends, size against
 * `height` of the loss, both axes scaled to the same length. Undefined where nothing bends: a front of fewer, or one on
 * which every offer lies on the line or above.
 */
export function knee<T extends Offer>(front: readonly T[], height: (loss: number) => number): T | undefined {
  const [first, last] = [front[0], front.at(-1)];
  if (front.length < 3 || first === undefined || last === undefined) return undefined;
  const [top, bottom] = [height(first.loss), height(last.loss)];
  let found: T | undefined;
  let furthest = 1e-9;
  for (const offer of front.slice(1, -1)) {
    const x = (offer.size - first.size) / (last.size - first.size);
    const y = (height(offer.loss) - bottom) / (top - bottom);
    const below = 1 - x - y;
    if (below > furthest) {
      furthest = below;
      found = offer;
    }
  }
  return found;
}
