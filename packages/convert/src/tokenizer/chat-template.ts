import type { MetadataEntry } from "@fewbit/core";
import type { CheckpointFiles } from "../checkpoint.js";
import { type Json, readJson, readText } from "./json.js";

export interface ChatTemplate {
  /** `default` where a model has only one. */
  readonly name: string;
  readonly text: string;
}

/**
 * The chat templates beside a model: in its tokenizer_config.json, chat_template.jinja or chat_template.json, the first
 * that is there.
 * @throws `E_TOKENIZER`
 */
export async function readChatTemplates(files: CheckpointFiles, config: Json): Promise<ChatTemplate[]> {
  const stored = config.get("chat_template");
  if (!stored.missing) return templates(stored);
  const jinja = await readText(files, "chat_template.jinja");
  if (jinja !== undefined) return [{ name: "default", text: jinja }];
  return templates((await readJson(files, "chat_template.json")).get("chat_template"));
}

function templates(json: Json): ChatTemplate[] {
  if (json.missing) return [];
  if (json.list === undefined) return [{ name: "default", text: json.text() }];
  return json.list.map((item) => ({ name: item.get("name").text(), text: item.get("template").text() }));
}

/** Named ones, their names, and the one that is taken where none is named. */
export function templateEntries(all: readonly ChatTemplate[]): MetadataEntry[] {
  const named = new Map<string, string>();
  let plain: string | undefined;
  for (const { name, text } of all) {
    const key = name.replaceAll(/[^A-Za-z0-9]/g, "_");
    if (key === "default") plain = text;
    else if (key !== "") named.set(key, text);
  }
  return [
    ...[...named].map(([name, value]) => ({ key: `tokenizer.chat_template.${name}`, type: "string", value })),
    ...(named.size === 0
      ? []
      : [{ key: "tokenizer.chat_templates", type: "array<string>", value: [...named.keys()] }]),
    ...(plain === undefined ? [] : [{ key: "tokenizer.chat_template", type: "string", value: plain }]),
  ];
}
