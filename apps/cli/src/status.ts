import type { ProgressStream } from "./progress.js";
import { escapeControls } from "./render.js";

const PLAIN_EVERY = 5000;

/** One line that says what is being done: rewritten on a terminal, now and then elsewhere, never under `--quiet`. */
export class StatusLine {
  readonly #stream: ProgressStream;
  readonly #quiet: boolean;
  #written = performance.now();
  #onScreen = false;

  constructor({ stderr, quiet }: { readonly stderr: ProgressStream; readonly quiet: boolean }) {
    this.#stream = stderr;
    this.#quiet = quiet;
  }

  show(text: string): void {
    if (this.#quiet) return;
    const safe = escapeControls(text);
    if (this.#stream.isTTY === true) {
      const width = (this.#stream.columns ?? 80) - 1;
      this.#stream.write(`\r${[...safe].slice(0, width).join("")}\x1b[K`);
      this.#onScreen = true;
    } else if (performance.now() - this.#written >= PLAIN_EVERY) {
      this.#written = performance.now();
      this.#stream.write(`${safe}\n`);
    }
  }

  /** Removes it, so that the next line starts on an empty one. */
  clear(): void {
    if (this.#onScreen) this.#stream.write("\r\x1b[K");
    this.#onScreen = false;
  }
}
