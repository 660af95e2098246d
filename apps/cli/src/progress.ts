import type { Progress as Step } from "@fewbit/core";
import { escapeControls, formatBytes, formatCount, formatDuration } from "./render.js";

/** The part of a stream that progress needs: standard error, or a test's list. */
export interface ProgressStream {
  readonly isTTY?: boolean;
  readonly columns?: number;
  write(text: string): unknown;
}

/** How far something is. */
export interface Stage {
  /** Of what the rate and the time left are made. */
  readonly done: number;
  readonly total: number;
  /** What is counted, such as `weights`; absent where `read` says it all. */
  readonly unit?: string;
  /** Bytes that were read, where their rate tells something. */
  readonly read?: number;
  /** What it is at; not escaped. */
  readonly label: string;
}

const TERMINAL_EVERY = 100;
const PLAIN_EVERY = 5000;
/** The rate looks back this many milliseconds, so that it follows a change of tensor type but does not flicker. */
const WINDOW = 4000;
/** Seconds after which the time left is worth telling. */
const SOON = 0.5;

/**
 * A bar that redraws itself on a terminal, a line now and then elsewhere, nothing under `--quiet`.
 * Times come from `now` (milliseconds), so that a test can hold the clock.
 */
export class ProgressLine {
  readonly #stream: ProgressStream;
  readonly #quiet: boolean;
  readonly #now: () => number;
  readonly #start: number;
  readonly #window: { at: number; done: number; read: number }[];
  #drawn: number;
  #onScreen = false;

  constructor(
    stream: ProgressStream,
    options: { readonly quiet?: boolean; readonly now?: () => number } = {},
  ) {
    this.#stream = stream;
    this.#quiet = options.quiet ?? false;
    this.#now = options.now ?? (() => performance.now());
    this.#start = this.#now();
    this.#window = [{ at: this.#start, done: 0, read: 0 }];
    // The first is due after a while, not at once: short runs stay silent, and a rate needs time to mean something.
    this.#drawn = this.#start;
  }

  update(step: Step): void {
    const { weights, totalWeights, read, tensor } = step;
    this.show({ done: weights, total: totalWeights, unit: "weights", read, label: tensor });
  }

  show(stage: Stage): void {
    if (this.#quiet) return;
    const at = this.#now();
    const terminal = this.#stream.isTTY === true;
    if (at - this.#drawn < (terminal ? TERMINAL_EVERY : PLAIN_EVERY)) return;
    this.#drawn = at;
    this.#window.push({ at, done: stage.done, read: stage.read ?? 0 });
    while (this.#window.length > 2 && at - this.#window[1]!.at > WINDOW) this.#window.shift();
    const text = this.#line(stage, at);
    if (terminal) {
      this.#stream.write(`\r${text}\x1b[K`);
      this.#onScreen = true;
    } else this.#stream.write(`${text}\n`);
  }

  /** Removes the bar, so that the next line starts on an empty one. */
  clear(): void {
    if (this.#onScreen) this.#stream.write("\r\x1b[K");
    this.#onScreen = false;
  }

  #line(stage: Stage, at: number): string {
    const from = this.#window[0]!;
    const seconds = (at - from.at) / 1000;
    const rate = seconds > 0 ? (stage.done - from.done) / seconds : 0;
    const bytesPerSecond = seconds > 0 ? ((stage.read ?? 0) - from.read) / seconds : 0;
    const share = stage.total === 0 ? 1 : Math.min(1, stage.done / stage.total);
    const left = rate > 0 && seconds >= SOON ? ((stage.total - stage.done) / rate) * 1000 : undefined;
    const percent = `${Math.floor(share * 100)}%`.padStart(4);
    const facts = [
      percent,
      ...(stage.unit === undefined ? [] : [`${formatCount(rate)} ${stage.unit}/s`]),
      ...(stage.read === undefined ? [] : [`${formatBytes(Math.round(bytesPerSecond))}/s`]),
      left === undefined ? "time left unknown" : `${formatDuration(left)} left`,
    ].join("  ");
    const name = escapeControls(stage.label);
    if (this.#stream.isTTY !== true) return `${facts}  ${name}`.trimStart();
    const width = (this.#stream.columns ?? 80) - 1;
    const cells = Math.max(0, Math.min(24, width - facts.length - 3));
    const full = Math.round(share * cells);
    const bar = cells < 4 ? "" : `[${"=".repeat(full)}${" ".repeat(cells - full)}]`;
    // Cut by code points; every character that is not one column wide or could break the line is escaped already.
    return [...`${bar}${facts}  ${name}`].slice(0, width).join("");
  }
}

interface Screen {
  readonly stderr: ProgressStream;
  readonly quiet: boolean;
}

/** Shows progress until the work has its result; the line is gone before anything else is printed. */
export const follow = <T>(work: AsyncGenerator<Step, T>, screen: Screen): Promise<T> =>
  drive(work, new ProgressLine(screen.stderr, screen), (line, step) => line.update(step));

/** The same for work that is not counted in weights. */
export const followStages = <S, T>(
  work: AsyncGenerator<S, T>,
  screen: Screen,
  stageOf: (step: S) => Stage,
): Promise<T> =>
  drive(work, new ProgressLine(screen.stderr, screen), (line, step) => line.show(stageOf(step)));

async function drive<S, T>(
  work: AsyncGenerator<S, T>,
  line: ProgressLine,
  draw: (line: ProgressLine, step: S) => void,
): Promise<T> {
  try {
    for (;;) {
      const step = await work.next();
      if (step.done) return step.value;
      draw(line, step.value);
    }
  } finally {
    line.clear();
  }
}
