// hf://organisation/model[@revision][/path], as Hugging Face's own tools write it.
import { FewbitError } from "@fewbit/core";
import { isPlainPath } from "./names.js";

/** A model on the hub, or a part of it. */
export interface HubAddress {
  /** `organisation/model` */
  readonly model: string;
  /** A branch, tag or commit; the default branch where absent. */
  readonly revision?: string;
  /** A file or folder of the repository. */
  readonly path?: string;
}

/** Whether a text is meant as one, well-formed or not. */
export const isHubAddress = (text: string): boolean => /^hf:\/\//i.test(text);

const NAME = "[A-Za-z0-9][\\w.-]{0,95}";
const ADDRESS = new RegExp(`^hf://(${NAME}/${NAME})(?:@(refs/\\w+/[^/@]+|[^/@]+))?(?:/(.*))?$`, "i");
/** What the hub has besides models, by the first part of an address. */
const OTHER = /^(datasets|spaces|buckets)\//i;

/** @throws `E_USAGE` */
export function parseAddress(text: string): HubAddress {
  const [, model, given, rest] = ADDRESS.exec(text) ?? [];
  const path = rest?.replace(/\/+$/, "") || undefined;
  const revision = given === undefined ? undefined : decoded(given);
  if (
    model === undefined ||
    OTHER.test(model) ||
    (given !== undefined && (revision === undefined || !isRevision(revision))) ||
    (path !== undefined && !isPlainPath(path))
  )
    throw new FewbitError(
      "E_USAGE",
      "it is no address of a model on the hub",
      { file: text },
      "Write hf://organisation/model, hf://organisation/model@revision, or either with /path/of/a/file.",
    );
  return {
    model,
    ...(revision === undefined ? {} : { revision }),
    ...(path === undefined ? {} : { path }),
  };
}

/** `main`, `v1.0`, `refs/pr/7`: what git takes as the name of a branch or tag. */
export const isRevision = (text: string): boolean =>
  isPlainPath(text) && /^[\w./+-]+$/.test(text) && !text.startsWith("-");

function decoded(text: string): string | undefined {
  try {
    return decodeURIComponent(text);
  } catch {
    return undefined;
  }
}

/** The same address for people. */
export const formatAddress = ({ model, revision, path }: HubAddress): string =>
  `hf://${model}${revision === undefined ? "" : `@${revision}`}${path === undefined ? "" : `/${path}`}`;
