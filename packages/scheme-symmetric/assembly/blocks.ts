// Kernels take blocks in groups of four, so that scales are computed in four lanes at once.

/** Bytes of weights per call: enough to forget the call, few enough that V8 soon replaces its first, slow code. */
const CALL: u32 = 16384;
/** A group of zeros that the last one, two or three blocks are copied to: at most 4 × 256 weights. */
export const SPARE_WEIGHTS: usize = 0xc000;
export const SPARE_BLOCKS: usize = 0xd000;

/**
 * Calls `encode(source, target, groups)` until all blocks are done.
 * @param weights bytes of a block's weights
 * @param block bytes of a block
 */
export function encodeInFours(
  encode: (source: usize, target: usize, groups: u32) => void,
  source: usize,
  target: usize,
  blocks: u32,
  weights: u32,
  block: u32,
): void {
  while (blocks >= 4) {
    const groups = min<u32>(blocks >> 2, CALL / (4 * weights));
    encode(source, target, groups);
    source += groups * 4 * weights;
    target += groups * 4 * block;
    blocks -= groups * 4;
  }
  if (blocks > 0) {
    memory.copy(SPARE_WEIGHTS, source, blocks * weights);
    memory.fill(SPARE_WEIGHTS + blocks * weights, 0, (4 - blocks) * weights);
    encode(SPARE_WEIGHTS, SPARE_BLOCKS, 1);
    memory.copy(target, SPARE_BLOCKS, blocks * block);
  }
}
