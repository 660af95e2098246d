// Rules for every layer and every expert, as rules for single tensors.
import type { Config, TensorRule } from "@fewbit/core";

/** A rule for one tensor of the GGUF file. */
export interface ExpandedRule {
  readonly rule: TensorRule;
  /** -1 outside the layers. */
  readonly layer: number;
  /** All that it is made of. */
  readonly names: readonly string[];
  /** Of the last of them that there is; -1 where there are none. */
  readonly order: number;
}

/** What the checkpoint has, by the names of the rules, and where llama.cpp's converter meets it. */
type Orders = ReadonlyMap<string, { readonly order: number }>;

const BID = "{bid}";
const XID = "{xid}";

/** A name with `{bid}` in a layer. */
export const numbered = (pattern: string, layer: number): string => pattern.replaceAll(BID, String(layer));

const patternsOf = ({ from }: TensorRule): readonly string[] => (typeof from === "string" ? [from] : from);

/** @throws `E_CHECKPOINT` where settings ask for more experts than there are tensors */
export function expandRules(rules: readonly TensorRule[], config: Config, found: Orders): ExpandedRule[] {
  const all = Array.from({ length: config.layers }, (_, layer) => layer);
  const expanded = rules.flatMap((rule) => {
    const layered = [...patternsOf(rule), rule.to ?? ""].some((pattern) => pattern.includes(BID));
    return (layered ? (rule.layers ?? all) : [-1]).map((layer) => {
      const names = namesOf(rule, layer, config, found);
      const order = names.reduce((last, name) => Math.max(last, found.get(name)?.order ?? -1), -1);
      return { rule, layer, names, order };
    });
  });

  // Experts of a layer are stacked when the last of any kind has come.
  const lastExpert = new Map<number, number>();
  const ofExperts = ({ rule }: ExpandedRule): boolean => patternsOf(rule).some((each) => each.includes(XID));
  for (const each of expanded.filter(ofExperts))
    lastExpert.set(each.layer, Math.max(each.order, lastExpert.get(each.layer) ?? -1));
  return expanded.map((each) => (ofExperts(each) ? { ...each, order: lastExpert.get(each.layer)! } : each));
}

function namesOf(rule: TensorRule, layer: number, config: Config, found: Orders): string[] {
  return patternsOf(rule).flatMap((pattern) => {
    const name = numbered(pattern, layer);
    if (!name.includes(XID)) return [name];
    const expert = (number: number): string => name.replaceAll(XID, String(number));
    const count = rule.experts ?? 0;
    if (!found.has(expert(0))) return [expert(0)];
    if (count > found.size)
      throw config.error(
        "num_experts",
        `The settings ask for ${count} experts, and the checkpoint has ${found.size} tensors in all.`,
      );
    return Array.from({ length: count }, (_, number) => expert(number));
  });
}
