// Proof that a converted model says what its checkpoint says: logits of both, after every token of a few texts.
import type { Checkpoint, LogitsCheck } from "@fewbit/convert";
import { checkConversion } from "@fewbit/convert/node";
import { isFewbitError, type Model, type Registry } from "@fewbit/core";
import { engineOf, runnerOf } from "./plugins.js";
import type { Session } from "./session.js";

/** Without being asked, no more weights than a computer goes through while nobody looks at the clock. */
const UNASKED = 20e6;

/**
 * Undefined where nobody asked and an engine or room for a file is missing: the model is written all the same.
 *
 * @param converted what was made of the checkpoint
 */
export async function compareLogits(
  checkpoint: Checkpoint,
  converted: Model,
  registry: Registry,
  asked: boolean,
  session: Session,
): Promise<LogitsCheck | undefined> {
  try {
    return await checkConversion({
      checkpoint,
      converted,
      registry,
      engine: engineOf(registry),
      runner: runnerOf(registry),
      signal: session.signal,
      ...(asked ? {} : { limit: UNASKED }),
    });
  } catch (thrown) {
    // They became zero in the output, as the user wished: there is nothing to hold it against.
    if (isFewbitError(thrown, "E_NONFINITE"))
      return { checked: false, reason: "Some weights are no numbers." };
    const excused = isFewbitError(thrown) && /^E_(ENGINE_|SPACE$)/.test(thrown.code);
    if (asked || !excused) throw thrown;
    session.note(`note: logits were not compared: ${thrown.message}`);
    return undefined;
  }
}

export function logitsText(check: LogitsCheck): string {
  if (!check.checked) return `logits: not compared. ${check.reason}`;
  const { compared, agrees, tokens, texts, max, rms, maxRelative, perplexity } = check;
  const what = compared === "logits" ? "logits" : "vectors before the last layer";
  return [
    `${what}: ${agrees ? "the same but for rounding" : "not the checkpoint's"} after ${tokens} tokens of ${texts} texts;`,
    `difference at most ${max.toExponential(1)}, which is ${maxRelative.toExponential(1)} of their range, RMS ${rms.toExponential(1)}`,
    ...(perplexity === undefined
      ? []
      : [
          `; perplexity of these texts ${perplexity.file.toPrecision(7)}, by the checkpoint ${perplexity.checkpoint.toPrecision(7)}`,
        ]),
  ]
    .join(" ")
    .replace(" ;", ";");
}
