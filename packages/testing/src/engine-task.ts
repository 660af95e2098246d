// The task that `testEngine` makes an engine run. It is a module of its own, because an engine imports it by its URL.
import { type EngineHost, FewbitError } from "@fewbit/core";

export type Wanted =
  | { readonly law: "echo"; readonly value: unknown }
  | { readonly law: "refuse" }
  | { readonly law: "hang" }
  | { readonly law: "die" }
  | { readonly law: "load"; readonly path: string }
  | { readonly law: "texts"; readonly path: string; readonly text: string }
  | { readonly law: "logits"; readonly path: string; readonly text: string }
  | { readonly law: "observe"; readonly path: string; readonly text: string };

export interface Texts {
  readonly tokens: Int32Array;
  readonly again: string;
  readonly vocabulary: number;
}

export interface Logits {
  readonly length: number;
  readonly vocabulary: number;
  /** Largest differences from the logits of all tokens at once. */
  readonly oneByOne: number;
  readonly otherSequence: number;
  readonly afterClear: number;
  /** Between the logits after the last token and after the one before it. */
  readonly between: number;
}

export interface Observed {
  readonly tokens: number;
  readonly asked: number;
  readonly seen: readonly {
    readonly weight: string;
    readonly columns: number;
    readonly numbers: number;
    readonly wantedColumns: number;
    readonly finite: boolean;
    readonly experts: number;
  }[];
}

export default function* task(host: EngineHost, wanted: Wanted): Generator<unknown> {
  switch (wanted.law) {
    case "echo":
      return yield wanted.value;
    case "refuse":
      throw new FewbitError("E_TEXT", "The text is refused", { file: "a.txt", offset: 7 }, "Write another.");
    case "hang":
      yield process.pid;
      for (;;);
    case "die":
      yield process.pid;
      process.kill(process.pid, "SIGKILL");
      for (;;);
    case "load":
      return yield host.load(wanted.path).vocabulary;
    case "texts":
      return yield texts(host, wanted.path, wanted.text);
    case "logits":
      return yield logits(host, wanted.path, wanted.text);
    case "observe":
      return yield observe(host, wanted.path, wanted.text);
  }
}

function texts(host: EngineHost, path: string, text: string): Texts {
  const model = host.load(path, { vocabularyOnly: true });
  const tokens = model.tokenize(text, false, false);
  return { tokens, again: model.detokenize(tokens), vocabulary: model.vocabulary };
}

function logits(host: EngineHost, path: string, text: string): Logits {
  const model = host.load(path);
  const tokens = model.tokenize(text, true, false);
  const count = tokens.length;
  const all = new Uint8Array(count).fill(1);
  const context = model.context({ size: count + 1, threads: 1 });
  const together = (): Float32Array[] => {
    context.decode({ tokens, logits: all });
    return [...tokens.keys()].map((i) => context.logits(i).slice());
  };
  const expected = together();
  context.clear();
  const again = together();
  context.clear();
  const single = [...tokens].map((token) => {
    context.decode({ tokens: Int32Array.of(token) });
    return context.logits(0).slice();
  });

  const two = model.context({ size: 2 * (count + 1), sequences: 2, threads: 1 });
  two.decode({
    tokens: Int32Array.of(tokens[0]!, ...tokens),
    positions: Int32Array.of(0, ...tokens.keys()),
    sequences: Int32Array.from({ length: count + 1 }, (_, i) => (i === 0 ? 0 : 1)),
    logits: new Uint8Array(count + 1).fill(1),
  });
  const second = [...tokens.keys()].map((i) => two.logits(i + 1).slice());
  return {
    length: expected[0]!.length,
    vocabulary: model.vocabulary,
    oneByOne: furthest(expected, single),
    otherSequence: furthest(expected, second),
    afterClear: furthest(expected, again),
    between: furthest([expected[count - 2]!], [expected[count - 1]!]),
  };
}

const furthest = (a: readonly Float32Array[], b: readonly Float32Array[]): number =>
  a.reduce((most, row, i) => row.reduce((most, x, j) => Math.max(most, Math.abs(x - b[i]![j]!)), most), 0);

function observe(host: EngineHost, path: string, text: string): Observed {
  const model = host.load(path);
  const tokens = model.tokenize(text, true, false);
  const asked = new Map<string, number>();
  const seen: Observed["seen"][number][] = [];
  const context = model.context({
    size: tokens.length,
    threads: 1,
    observe: {
      wants({ weight, columns }) {
        asked.set(weight, columns);
        return weight.startsWith("blk.0.");
      },
      see: ({ weight, columns, values, experts }) =>
        void seen.push({
          ...{ weight, columns, experts, numbers: values.length },
          wantedColumns: asked.get(weight)!,
          finite: values.every(Number.isFinite),
        }),
    },
  });
  context.decode({ tokens, logits: new Uint8Array(tokens.length).fill(1) });
  return { tokens: tokens.length, asked: asked.size, seen };
}
