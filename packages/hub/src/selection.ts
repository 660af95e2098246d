// Which files of a repository are worth having.
import { FewbitError } from "@fewbit/core";
import { modelsAmong, several, shardsOf } from "./choice.js";
import type { HubFile, Repository } from "./repository.js";

/** Which part of a repository is wanted. */
export interface Selection {
  /** A file or folder of the repository. */
  readonly path?: string;
  /** Patterns with `*` for any text and `?` for any character; a folder where it ends in a slash. */
  readonly include?: readonly string[];
  readonly exclude?: readonly string[];
}

export interface Selected {
  readonly files: readonly HubFile[];
  /** Pickles that the patterns would take: they are programs, and have to be asked for by their extension. */
  readonly pickles: readonly string[];
}

/** Loading one runs whatever its author put into it. */
const PICKLE = /\.(bin|pt|pth|ckpt|pkl|pickle|joblib|dill|npy|npz)$/i;
/** Weights in formats that fewbit reads. */
const WEIGHTS = /\.(safetensors|gguf)$/i;
/** What a converter or a person may want besides: settings, vocabularies, templates, the card and the licence. */
const BESIDE =
  /\.(json|model|tiktoken|txt|jinja|md)$|(^|\/)(licen[cs]e|notice|use_policy|usage_policy|copying)[^/]*$/i;
/** Mistral's own name of what `model.safetensors` holds as well. */
const CONSOLIDATED = /(^|\/)consolidated[^/]*\.safetensors$/i;

/**
 * Without `include`: weights in safetensors, or in GGUF where there are none, each once, and what belongs to them.
 * @throws `E_USAGE` where there are several GGUF models and nothing says which; `E_HUB` where nothing is left
 */
export function select(repository: Repository, { path, include, exclude = [] }: Selection): Selected {
  const matching = include === undefined ? undefined : include.map(asFolder);
  const leaving = exclude.map(asFolder);
  const named = new Set(
    path === undefined
      ? []
      : shardsOf(
          path,
          repository.files.map((file) => file.path),
        ),
  );
  const within = repository.files.filter(
    (file) => path === undefined || named.has(file.path) || file.path.startsWith(`${path}/`),
  );
  const wanted = within.filter(
    (file) =>
      !leaving.some((pattern) => matches(file.path, pattern)) &&
      (matching === undefined || matching.some((pattern) => matches(file.path, pattern))),
  );
  const pickles: string[] = [];
  const files =
    matching === undefined
      ? byDefault(repository, wanted, path)
      : wanted.filter((file) => {
          const taken =
            !PICKLE.test(file.path) ||
            matching.some((pattern) => PICKLE.test(pattern) && matches(file.path, pattern));
          if (!taken) pickles.push(file.path);
          return taken;
        });
  if (files.length > 0) return { files, pickles };
  throw new FewbitError(
    "E_HUB",
    within.length === 0
      ? path === undefined
        ? "the repository is empty"
        : `there is no ${path} in the repository`
      : "none of the repository's files is wanted",
    { file: repository.name(path) },
    pickles.length > 0
      ? `What matches is pickled, and runs as a program where it is loaded; to have it, name it: --include '${pickles[0]}'.`
      : "Look at the repository's files, and say with --include which to take.",
  );
}

function byDefault(
  repository: Repository,
  files: readonly HubFile[],
  path: string | undefined,
): readonly HubFile[] {
  // A file that was named is wanted whatever it is.
  if (files.some((file) => file.path === path)) return files;
  const paths = files.map((file) => file.path);
  const safetensors = paths.some((each) => /\.safetensors$/i.test(each));
  const whole = paths.some((each) => /(^|\/)model(-\d{5}-of-\d{5})?\.safetensors$/i.test(each));
  if (!safetensors) {
    const models = modelsAmong(paths, [".gguf"]);
    if (models.length > 1) throw several(repository, models);
  }
  return files.filter(
    (file) =>
      BESIDE.test(file.path) ||
      (WEIGHTS.test(file.path) &&
        !(safetensors && /\.gguf$/i.test(file.path)) &&
        !(whole && CONSOLIDATED.test(file.path))),
  );
}

const asFolder = (pattern: string): string => (pattern.endsWith("/") ? `${pattern}*` : pattern);

/** Without backtracking further than the last `*`: a repository chooses the names. */
export function matches(text: string, pattern: string): boolean {
  let [t, p, star, mark] = [0, 0, -1, 0];
  while (t < text.length) {
    if (p < pattern.length && pattern[p] === "*") {
      star = p++;
      mark = t;
    } else if (p < pattern.length && (pattern[p] === "?" || pattern[p] === text[t])) {
      t++;
      p++;
    } else if (star >= 0) {
      p = star + 1;
      t = ++mark;
    } else return false;
  }
  while (pattern[p] === "*") p++;
  return p === pattern.length;
}
