import { type LogCallback, values } from "./layout.js";

/** What llama.cpp says, kept instead of printed: the last lines, for messages. */
export class Log {
  readonly #lines: { readonly level: number; text: string }[] = [];

  readonly callback: LogCallback = (level, text) => {
    if (text === null) return;
    const last = this.#lines.at(-1);
    if (level === values.GGML_LOG_LEVEL_CONT && last !== undefined) last.text += text;
    else this.#lines.push({ level, text });
    if (this.#lines.length > 200) this.#lines.splice(0, 100);
  };

  /** Forgets what was said, so that the next question is about what follows. */
  clear(): void {
    this.#lines.length = 0;
  }

  /** The first error: what follows it is only how the functions above it give up. */
  error(): string | undefined {
    const line = this.#lines.find(
      ({ level, text }) => level === values.GGML_LOG_LEVEL_ERROR && text.trim() !== "",
    );
    return line && plain(line.text);
  }

  /** The first line that matches. */
  find(pattern: RegExp): RegExpExecArray | null {
    for (const { text } of this.#lines) {
      const found = pattern.exec(text);
      if (found !== null) return found;
    }
    return null;
  }
}

/** Without the names of functions that llama.cpp begins its messages with. */
const plain = (text: string): string =>
  text
    .trim()
    .replace(/^(?:[a-z_0-9]+: +)+/i, "")
    .replace(/^error loading model: (?:[a-z_0-9]+: +)?/, "");
