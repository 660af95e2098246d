const ascii = (bytes: Uint8Array): string => String.fromCharCode(...bytes);

/** What a file looks like whose first eight bytes are no header's length, and what to do about it. */
export function looksLike(prefix: Uint8Array): { readonly is: string; readonly remedy: string } | undefined {
  const text = ascii(prefix.subarray(0, 8));
  if (text === "version ")
    return {
      is: "a Git LFS pointer, a note of where the real file is",
      remedy: "Fetch the real file with `git lfs pull`, or download it from the model's page.",
    };
  if (/^<(!doctyp|html)/i.test(text))
    return {
      is: "an HTML page, probably an error page saved under the model's name",
      remedy: "Download the file again from its direct link.",
    };
  if (text.startsWith("PK\x03\x04") || /^\x80[\x02-\x05]/.test(text))
    return { is: "a PyTorch checkpoint", remedy: "Convert it to safetensors first." };
  if (text.startsWith("GGUF")) return { is: "a GGUF file", remedy: "Give it the extension .gguf." };
  if (/^\s*\{/.test(text)) return { is: "JSON", remedy: "Give the model file itself." };
  if (/^\0+$/.test(text))
    return {
      is: "an interrupted write, as writers fill the header in last",
      remedy: "Write or download the file again.",
    };
  return undefined;
}
