// From the tensors of a checkpoint to those of a GGUF file, by the rules of an architecture. Every tensor is used or
// left out by a rule; what is missing or left over is an error.
import {
  type Architecture,
  type Config,
  FewbitError,
  float32,
  isFewbitError,
  type Model,
  nameOf,
  stored,
  storedUnder,
  type TensorRule,
  type View,
} from "@fewbit/core";
import { expandRules, numbered } from "./expansion.js";
import { alwaysFloat32 } from "./precision.js";
import { type CheckpointTensor, dequantize, unfit } from "./quantized.js";

/** A tensor of the GGUF file. */
export interface MappedTensor {
  readonly name: string;
  readonly view: View;
}

/** A tensor of the checkpoint. */
interface Found extends CheckpointTensor {
  /** Where llama.cpp's converter meets it. */
  readonly order: number;
}

/** What no architecture has a use for: tables that are computed from settings. */
const COMPUTED = [".attention.masked_bias", ".attention.bias", ".rotary_emb.inv_freq"];
/** So many names are told of those that are missing or left over. */
const TOLD = 4;

/**
 * In the order in which llama.cpp's converter writes them.
 * @throws `E_CHECKPOINT` where tensors are missing, left over, or of another shape than the settings ask for
 */
export function mapTensors(model: Model, architecture: Architecture, config: Config): MappedTensor[] {
  const found = findTensors(model, architecture, config);
  if (config.layers > model.tensors.length)
    throw config.error(
      "num_hidden_layers",
      `The settings ask for ${config.layers} layers, and the checkpoint has ${model.tensors.length === 1 ? "1 tensor" : `${model.tensors.length} tensors`} in all.`,
    );
  const rules = architecture.tensors(config);
  const used = new Set<string>();
  const missing: string[] = [];
  /** What several optional rules could make, by its name: the tensors of the first. */
  const alternatives = new Map<string, readonly string[]>();
  const begun = new Set<string>();
  const made: (MappedTensor & { readonly order: number })[] = [];
  const ruled = new Map<string, number>();
  for (const { to } of rules) if (to !== undefined) ruled.set(to, (ruled.get(to) ?? 0) + 1);
  for (const { rule, layer, names, order } of expandRules(rules, config, found)) {
    const present = names.filter((name) => found.has(name));
    for (const name of present) used.add(name);
    if (rule.to === undefined) continue;
    const name = numbered(rule.to, layer);
    if (rule.optional === true && names.length > 0 && present.length === 0) {
      if (ruled.get(rule.to)! > 1 && !alternatives.has(name)) alternatives.set(name, names);
      continue;
    }
    begun.add(name);
    if (present.length < names.length) {
      missing.push(...names.filter((name) => !found.has(name)));
      continue;
    }
    const sources = names.map((name) => found.get(name)!);
    const view = make(name, rule, layer, sources);
    // What is packed comes before all that the converter computes with.
    made.push({ name, view, order: view.dtype === "MXFP4" ? order - found.size : order });
  }
  for (const name of begun) alternatives.delete(name);
  refuseMissing([...missing, ...[...alternatives.values()].flat()], config, found);
  refuseLeftOver(found, used, architecture);
  refuseTwice(made);
  // A stable sort: of tensors made of the same ones, the rules' order stays.
  return made.sort((a, b) => a.order - b.order);
}

function findTensors(model: Model, architecture: Architecture, config: Config): Map<string, Found> {
  const found = new Map<string, Found>();
  const views = dequantize(
    byName(model).map(({ name, dtype, shape, file, offset, bytes }) => {
      const from = model.files[file]!;
      if (from.kind === "view") throw new Error(`${name} is computed already`);
      return { name, file: nameOf(from), view: stored({ name, from, dtype, shape, offset, bytes }) };
    }),
    config,
  );
  for (const [order, { name, file, view }] of views.entries()) {
    if (COMPUTED.some((end) => name.endsWith(end))) continue;
    const known = architecture.rename === undefined ? name : architecture.rename(name, config);
    if (known === undefined) continue;
    const other = found.get(known);
    if (other !== undefined)
      throw new FewbitError(
        "E_CHECKPOINT",
        `${other.name} and ${name} are the same tensor, ${known}.`,
        { file, tensor: name },
        "Remove one of them: the checkpoint was put together from two.",
      );
    found.set(known, { view, name, file, order });
  }
  return found;
}

/** As the converter reads a checkpoint: file after file, by the code points of the names. */
const byName = (model: Model): Model["tensors"] =>
  [...model.tensors].sort((a, b) => a.file - b.file || compareCodePoints(a.name, b.name));

/** A surrogate belongs to a code point above every unit that is none. */
function compareCodePoints(a: string, b: string): number {
  const isSurrogate = (unit: number): boolean => unit >= 0xd800 && unit <= 0xdfff;
  const length = Math.min(a.length, b.length);
  for (let i = 0; i < length; i++) {
    const [x, y] = [a.charCodeAt(i), b.charCodeAt(i)];
    if (x !== y) return Number(isSurrogate(x)) - Number(isSurrogate(y)) || x - y;
  }
  return a.length - b.length;
}

/** The tensor of one rule, checked against the settings, in the type that the file must have it in. */
function make(name: string, rule: TensorRule, layer: number, sources: readonly Found[]): View {
  const [first] = sources;
  const at = { tensor: first?.name ?? name, ...(first === undefined ? {} : { file: first.file }) };
  const views = sources.map(({ view }) => view);
  const empty = sources.find(({ view }) => view.bytes === 0);
  if (empty !== undefined)
    throw new FewbitError(
      "E_CHECKPOINT",
      `The tensor holds nothing: its shape is [${empty.view.shape.join(" × ")}].`,
      { tensor: empty.name, file: empty.file },
      "Download the checkpoint again; if it is whole, it was saved without its weights.",
    );
  try {
    const view = rule.make === undefined ? views[0]! : rule.make(views, layer);
    if (rule.shape !== undefined && String(view.shape) !== String(rule.shape))
      throw new FewbitError(
        "E_CHECKPOINT",
        `${at.tensor} gives ${name} the shape [${view.shape.join(" × ")}]; the settings ask for [${rule.shape.join(" × ")}].`,
        {},
        "config.json and the weights belong to different models: download both from the same place.",
      );
    return alwaysFloat32(name, view.shape) ? float32(view) : view;
  } catch (thrown) {
    throw isFewbitError(thrown, "E_CHECKPOINT") ? unfit(thrown, at) : thrown;
  }
}

const told = (names: readonly string[]): string =>
  names.slice(0, TOLD).join(", ") + (names.length > TOLD ? ` and ${names.length - TOLD} more` : "");

function refuseMissing(missing: readonly string[], config: Config, found: ReadonlyMap<string, Found>): void {
  if (missing.length === 0) return;
  const [first] = found.values();
  throw new FewbitError(
    "E_CHECKPOINT",
    `The checkpoint lacks ${missing.length === 1 ? "a tensor" : `${missing.length} tensors`} that its ${config.layers} layers need: ${told(missing)}.`,
    { tensor: missing[0]!, ...(first === undefined ? {} : { file: first.file }) },
    "Download all files of the checkpoint; if they are there, config.json belongs to another model.",
  );
}

function refuseLeftOver(
  found: ReadonlyMap<string, Found>,
  used: ReadonlySet<string>,
  architecture: Architecture,
): void {
  const left = [...found].filter(([known]) => !used.has(known)).map(([, tensor]) => tensor);
  if (left.length === 0) return;
  throw new FewbitError(
    "E_CHECKPOINT",
    `The checkpoint holds ${left.length === 1 ? "a tensor" : `${left.length} tensors`} that ${architecture.id} has no place for: ${told(left.map(({ name }) => name))}.`,
    { tensor: left[0]!.name, file: left[0]!.file },
    "It is a variant of the architecture that cannot be converted without losing weights; adapters must be merged first.",
  );
}

function refuseTwice(made: readonly MappedTensor[]): void {
  const seen = new Map<string, View>();
  for (const { name, view } of made) {
    const other = seen.get(name);
    seen.set(name, view);
    if (other === undefined) continue;
    const [first, second] = [other, view].map((each) => [...storedUnder(each)][0]?.name);
    throw new FewbitError(
      "E_CHECKPOINT",
      `${first} and ${second} both become ${name}.`,
      { tensor: name },
      "Report it to the authors of the plugin that brings the architecture.",
    );
  }
}
