/** Eighths of a character cell. */
const EIGHTHS = ["", "▏", "▎", "▍", "▌", "▋", "▊", "▉"];

/** A bar of at most `width` characters; something is seen of everything above zero. */
export function bar(value: number, most: number, width: number): string {
  if (!(value > 0) || width <= 0) return "";
  const eighths = Math.max(1, Math.round((value / most) * width * 8));
  return "█".repeat(Math.floor(eighths / 8)) + EIGHTHS[eighths % 8]!;
}
