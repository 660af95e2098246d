export interface ShardName {
  readonly prefix: string;
  /** From 1. */
  readonly number: number;
  readonly count: number;
}

const SHARD = /^(.*)-(\d{5})-of-(\d{5})\.gguf$/s;

/** `model-00002-of-00003.gguf` → `model`, 2, 3; undefined for a name that follows another pattern. */
export function parseShardName(fileName: string): ShardName | undefined {
  const match = SHARD.exec(fileName);
  if (match === null) return undefined;
  return { prefix: match[1]!, number: Number(match[2]), count: Number(match[3]) };
}

/** `index` counts from 0, the number in the name from 1. */
export function shardName(prefix: string, index: number, count: number): string {
  const five = (n: number): string => String(n).padStart(5, "0");
  return `${prefix}-${five(index + 1)}-of-${five(count)}.gguf`;
}
