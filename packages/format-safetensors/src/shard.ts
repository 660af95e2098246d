/**
 * Whether an index may name this file: a plain file name beside it, nothing that a file system, a URL or a terminal
 * could understand as more.
 */
export const isShardName = (name: string): boolean =>
  /^[^/\\:%?#*"<>|\x00-\x1f\x7f]+\.safetensors$/.test(name);

/** Names of `files` shards, as transformers gives them: `model-00001-of-00003.safetensors`. */
export function shardNames(files: number, prefix = "model"): string[] {
  const five = (n: number): string => String(n).padStart(5, "0");
  return Array.from({ length: files }, (_, i) => `${prefix}-${five(i + 1)}-of-${five(files)}.safetensors`);
}
