// What compare prints for people. Texts that come from files are escaped where the lines are put together.
import type { CandidateOutput, Estimate, OutputComparison } from "@fewbit/evaluate";
import { bar } from "./bars.js";
import type { Runnable } from "./measuring.js";
import { type Column, escapeControls, formatBytes, formatDuration, table } from "./render.js";
import type { Text } from "./text.js";

/** A candidate, what its header says, and what it is called here. */
interface Row {
  readonly label: string;
  readonly model: Runnable;
  readonly output: CandidateOutput;
}

export interface ComparisonView {
  readonly reference: Runnable;
  readonly candidates: readonly Runnable[];
  readonly text: Text;
  readonly found: OutputComparison;
  readonly milliseconds: number;
  /** All percentiles, for each candidate. */
  readonly details: boolean;
  /** Of the terminal; undefined where lines may be as long as they like. */
  readonly columns: number | undefined;
}

const PLAIN_WIDTH = 80;

export function comparisonText(view: ComparisonView): string {
  const { reference, candidates, text, found, milliseconds, details, columns } = view;
  const labels = labelsOf([reference, ...candidates]);
  const rows = candidates.map(
    (model, i): Row => ({ label: labels[i + 1]!, model, output: found.candidates[i]! }),
  );
  const head = [
    `reference: ${labels[0]}`,
    `${text.name}: ${found.tokens} tokens, ${found.chunks} chunks of ${found.context}, ${found.scored} scored`,
    `${found.engine}, ${formatDuration(milliseconds)}`,
  ]
    .map(escapeControls)
    .join("\n");
  const wide = wideTable(labels[0]!, view, rows);
  const fits = columns === undefined || wide.split("\n").every((line) => [...line].length <= columns);
  return [
    head,
    fits ? wide : [narrowReference(labels[0]!, view), ...rows.map(narrowRow)].join("\n"),
    ...(rows.length > 1 ? [bars(rows, columns ?? PLAIN_WIDTH)] : []),
    ...(details || rows.length === 1 ? rows.map((row) => detailsOf(row, found.reference.perplexity)) : []),
  ].join("\n\n");
}

/** File names; paths as they were given where two files have one name. */
function labelsOf(models: readonly Runnable[]): string[] {
  return models.map(({ file, given, path }) =>
    models.some((other) => other.file === file && other.path !== path) ? given : file,
  );
}

const percent = (fraction: number, digits: number): string => `${(100 * fraction).toFixed(digits)} %`;

const plusMinus = ({ value, error }: Estimate, digits: number): string =>
  `${value.toFixed(digits)} ± ${error.toFixed(digits)}`;

function wideTable(label: string, { reference, found }: ComparisonView, rows: readonly Row[]): string {
  const right = (title: string): Column => ({ title, align: "right" });
  const facts = ({ type, bytes, bitsPerWeight }: Runnable): string[] => [
    type,
    formatBytes(bytes),
    bitsPerWeight.toFixed(3),
  ];
  return table(
    [
      { title: "MODEL" },
      { title: "TYPE" },
      ...["SIZE", "BITS", "PPL", "RATIO", "MEAN KLD", "99.9% KLD", "Δp RMS", "SAME TOP"].map(right),
    ],
    [
      [label, ...facts(reference), plusMinus(found.reference.perplexity, 4), "", "", "", "", ""],
      ...rows.map(({ label, model, output }) => [
        label,
        ...facts(model),
        plusMinus(output.perplexity, 4),
        output.perplexityRatio.value.toFixed(4),
        output.kld.mean.toFixed(6),
        output.kld.p999.toFixed(4),
        percent(output.deltaP.rms, 2),
        percent(output.sameTop.value, 2),
      ]),
    ],
  );
}

const narrowFacts = ({ type, bytes, bitsPerWeight }: Runnable): string =>
  `  ${type}, ${formatBytes(bytes)}, ${bitsPerWeight.toFixed(3)} bits`;

function narrowReference(label: string, { reference, found }: ComparisonView): string {
  return [label, narrowFacts(reference), `  PPL ${plusMinus(found.reference.perplexity, 4)}`]
    .map(escapeControls)
    .join("\n");
}

const narrowRow = ({ label, model, output }: Row): string =>
  [
    label,
    narrowFacts(model),
    `  PPL ${plusMinus(output.perplexity, 4)}`,
    `  ratio ${plusMinus(output.perplexityRatio, 4)}`,
    `  mean KLD ${output.kld.mean.toFixed(6)}`,
    `  99.9% KLD ${output.kld.p999.toFixed(4)}`,
    `  Δp RMS ${percent(output.deltaP.rms, 2)}`,
    `  same top ${percent(output.sameTop.value, 2)}`,
  ]
    .map(escapeControls)
    .join("\n");

function bars(rows: readonly Row[], width: number): string {
  const most = Math.max(...rows.map(({ output }) => output.kld.mean));
  const figures = rows.map(({ output }) => output.kld.mean.toFixed(6));
  const figureWidth = Math.max(...figures.map(({ length }) => length));
  const labels = rows.map(({ label }) => escapeControls(label));
  const room = Math.max(8, Math.floor(width / 3));
  const labelWidth = Math.min(room, Math.max(...labels.map((label) => [...label].length)));
  const barWidth = Math.max(1, width - labelWidth - figureWidth - 4);
  return [
    "mean KLD, nats per token",
    ...rows.map(({ output }, i) =>
      `${fit(labels[i]!, labelWidth)}  ${figures[i]!.padStart(figureWidth)}  ${bar(output.kld.mean, most, barWidth)}`.trimEnd(),
    ),
  ].join("\n");
}

/** The end of a name tells versions apart. */
function fit(label: string, width: number): string {
  const characters = [...label];
  return characters.length <= width
    ? label + " ".repeat(width - characters.length)
    : `…${characters.slice(characters.length - width + 1).join("")}`;
}

function detailsOf({ label, output }: Row, reference: Estimate): string {
  const { perplexity, perplexityRatio, logRatio, perplexityDifference, correlation } = output;
  const { kld, deltaP, sameTop } = output;
  const right = (title: string): Column => ({ title, align: "right" });
  const figures = table(
    [{ title: "PERPLEXITY" }, right(""), right("")],
    [
      ["PPL(Q)", perplexity, 6] as const,
      ["PPL(base)", reference, 6] as const,
      ["PPL(Q)/PPL(base)", perplexityRatio, 6] as const,
      ["ln(PPL(Q)/PPL(base))", logRatio, 6] as const,
      ["PPL(Q)-PPL(base)", perplexityDifference, 6] as const,
    ].map(([name, { value, error }, digits]) => [name, value.toFixed(digits), `± ${error.toFixed(digits)}`]),
  );
  const shares: readonly (readonly [string, keyof typeof kld & keyof typeof deltaP])[] = [
    ["maximum", "max"],
    ["99.9%", "p999"],
    ["99%", "p99"],
    ["95%", "p95"],
    ["90%", "p90"],
    ["75%", "p75"],
    ["median", "median"],
    ["25%", "p25"],
    ["10%", "p10"],
    ["5%", "p5"],
    ["1%", "p1"],
    ["0.1%", "p01"],
    ["minimum", "min"],
  ];
  const distributions = table(
    [{ title: "OVER TOKENS" }, right("KLD"), right("Δp")],
    [
      [
        "mean",
        `${kld.mean.toFixed(6)} ± ${kld.error.toFixed(6)}`,
        `${(100 * deltaP.mean).toFixed(3)} ± ${percent(deltaP.error, 3)}`,
      ],
      ["root of mean square", "", `${(100 * deltaP.rms).toFixed(3)} ± ${percent(deltaP.rmsError, 3)}`],
      ...shares.map(([name, key]) => [name, kld[key].toFixed(6), percent(deltaP[key], 3)]),
    ],
  );
  return [
    escapeControls(label),
    figures,
    `correlation of ln PPL  ${percent(correlation, 2)}`,
    `same top token         ${(100 * sameTop.value).toFixed(3)} ± ${percent(sameTop.error, 3)}`,
    "",
    distributions,
  ].join("\n");
}
