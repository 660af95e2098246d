import { decodeLenient } from "./text.js";

/** What a file without GGUF's magic looks like, and what to do about it. */
export interface Guess {
  readonly looks: string;
  readonly remedy: string;
}

const begins = (head: Uint8Array, ...bytes: number[]): boolean => bytes.every((byte, i) => head[i] === byte);

/** From the first bytes (at least 4, 64 are enough). */
export function guessFormat(head: Uint8Array): Guess {
  const text = decodeLenient(head).trimStart();
  const lower = text.toLowerCase();
  if (begins(head, 0, 0, 0, 0))
    return {
      looks: "begins with zeros; it looks like an interrupted write, as writers fill the header in last",
      remedy: "Write or download the file again.",
    };
  if (/^(lmgg|fmgg|tjgg|algg)/.test(text))
    return {
      looks: "is an old GGML file, from before GGUF",
      remedy: "Convert the original model again with a current converter.",
    };
  if (text.startsWith("FUGG"))
    return {
      looks: "is GGUF with its magic's bytes reversed",
      remedy: "Write the file again with a current converter.",
    };
  if (text.startsWith("version https://git-lfs"))
    return {
      looks: "is a Git LFS pointer, a note of where the real file is",
      remedy: "Fetch the real file with `git lfs pull`, or download it from the model's page.",
    };
  if (lower.startsWith("<!doctype") || lower.startsWith("<html"))
    return {
      looks: "is an HTML page, probably an error page saved under the model's name",
      remedy: "Download the file again from its direct link.",
    };
  if (begins(head, 0x50, 0x4b, 3, 4))
    return {
      looks: "is a zip archive, which is how PyTorch stores checkpoints",
      remedy: "Convert it to safetensors or GGUF first, or unpack it.",
    };
  if (begins(head, 0x80) && (head[1] ?? 0) >= 2 && (head[1] ?? 0) <= 5)
    return {
      looks: "is a Python pickle (an old PyTorch checkpoint)",
      remedy: "Convert it to safetensors or GGUF first.",
    };
  if (head.length > 8 && head[8] === 0x7b)
    return {
      looks: "is a safetensors file",
      remedy: "Give it the extension .safetensors, or convert it to GGUF.",
    };
  if (begins(head, 0x1f, 0x8b) || begins(head, 0x28, 0xb5, 0x2f, 0xfd))
    return { looks: "is compressed", remedy: "Decompress it first." };
  if (text.startsWith("{"))
    return { looks: "is JSON, perhaps a server's error message", remedy: "Give the model file itself." };
  return { looks: "is no GGUF file", remedy: "Give a GGUF file, or download it again." };
}
