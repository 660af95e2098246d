/** The smallest and the largest value that a quantizer must represent; what lies outside is clipped. */
export interface Range {
  readonly min: number;
  readonly max: number;
}

/** Watches numbers go by and proposes a range for them. Memory does not grow with what was seen. */
export interface RangeObserver {
  /** One batch: what is computed at once. Values must be finite. */
  observe(values: Float32Array): void;
  /** As if what `other`, which must be of the same kind and settings, has seen came after what this one has. */
  merge(other: this): void;
  /** Zero to zero before anything was seen. */
  range(): Range;
}
