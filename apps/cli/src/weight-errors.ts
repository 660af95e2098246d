// What a report says of weights, for commands that measure something else.
import { isFewbitError, type Model, nameOf, type Registry } from "@fewbit/core";
import { openModel } from "@fewbit/core/node";
import { type Comparison, compareModels } from "@fewbit/evaluate";
import type { Distribution, TensorError, WeightError } from "@fewbit/report";
import { distributionOf } from "./distribution.js";
import { runnerOf } from "./plugins.js";
import { follow } from "./progress.js";
import { escapeControls } from "./render.js";
import type { Session } from "./session.js";

/** Of one candidate: nothing where its weights cannot be held against the reference's. */
export interface CandidateWeights {
  readonly weights?: WeightError;
  readonly tensors?: readonly TensorError[];
}

interface WeightRequest {
  /** Paths, as they were given. */
  readonly reference: string;
  readonly candidates: readonly string[];
  readonly registry: Registry;
}

/** Opened models, and what became of their weights. */
interface Weighed {
  readonly reference: Model;
  readonly candidates: readonly { readonly model: Model; readonly comparison: Comparison | undefined }[];
}

/** The error of every tensor of every candidate. One that cannot be compared is told of and left out. */
export async function weigh(request: WeightRequest, session: Session): Promise<Weighed> {
  const { registry } = request;
  const reference = await session.stoppable(openModel(request.reference, registry));
  const candidates = [];
  for (const path of request.candidates) {
    const model = await session.stoppable(openModel(path, registry));
    candidates.push({ model, comparison: await compare(reference, model, registry, session) });
  }
  return { reference, candidates };
}

async function compare(
  original: Model,
  quantized: Model,
  registry: Registry,
  session: Session,
): Promise<Comparison | undefined> {
  try {
    return await follow(
      compareModels({
        original,
        quantized,
        registry,
        runner: runnerOf(registry),
        signal: session.signal,
        // A report of everything else is worth more than none.
        nonfinite: "zero",
      }),
      session,
    );
  } catch (error) {
    // What the engine runs need not be what our plugins decode.
    if (!isFewbitError(error, "E_MODEL_MISMATCH", "E_SCHEME_UNKNOWN", "E_MEMORY")) throw error;
    const file = quantized.files[0] === undefined ? "a candidate" : nameOf(quantized.files[0]);
    session.note(escapeControls(`warning: ${file}: its weights are not compared. ${error.message}`));
    return undefined;
  }
}

/** As documents have them, in the order of the candidates. */
export const weightDocuments = ({ candidates }: Weighed): CandidateWeights[] =>
  candidates.map(({ comparison }) =>
    comparison === undefined
      ? {}
      : {
          weights: comparison.total.metrics,
          tensors: comparison.tensors.map(({ metrics, ...tensor }) => ({ ...tensor, ...metrics })),
        },
  );

/**
 * The weights of one tensor in all candidates that were compared; where none is named, the one that lost most in the
 * smallest candidate.
 */
export async function pictureWeights(
  { reference, candidates }: Weighed,
  registry: Registry,
  tensor: string | undefined,
  session: Session,
): Promise<Distribution[]> {
  const compared = candidates.flatMap(({ model, comparison }) =>
    comparison === undefined ? [] : [{ model, comparison }],
  );
  const [smallest] = [...compared].sort(
    (a, b) => a.comparison.total.quantizedBytes - b.comparison.total.quantizedBytes,
  );
  const chosen = tensor ?? (smallest && worstTensor(smallest.comparison));
  if (chosen === undefined || compared.length === 0) return [];
  const models = compared.map(({ model }) => model);
  return [
    await distributionOf({ original: reference, candidates: models, tensor: chosen, registry }, session),
  ];
}

/** The lowest SQNR; NaN is lower than any. */
export const worstTensor = ({ tensors }: Pick<Comparison, "tensors">): string | undefined =>
  tensors.reduce<Comparison["tensors"][number] | undefined>(
    (worst, each) =>
      worst === undefined || Number.isNaN(each.metrics.sqnr) || each.metrics.sqnr < worst.metrics.sqnr
        ? each
        : worst,
    undefined,
  )?.name;
