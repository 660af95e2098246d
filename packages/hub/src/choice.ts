// Which of a repository's files an address means.
import { FewbitError, type Wanted } from "@fewbit/core";
import { canBeRead, type Repository } from "./repository.js";

/** `model-00002-of-00003.gguf`: what comes along with the first. */
const SHARD = /-(\d{5})-of-(\d{5})(\.\w+)$/;
/** What lies beside models and is none: projectors of images, importance matrices. */
const ASIDE = /(^|\/)mmproj[^/]*$|imatrix[^/]*$/i;

const isFurtherShard = (path: string): boolean => Number(SHARD.exec(path)?.[1] ?? 1) > 1;

/** All files of a split model, given one of them; the file itself where it is none. */
export function shardsOf(path: string, paths: readonly string[]): readonly string[] {
  const shard = SHARD.exec(path);
  if (shard === null) return [path];
  const prefix = path.slice(0, shard.index);
  return paths.filter((each) => {
    const other = SHARD.exec(each);
    return (
      other !== null &&
      other[2] === shard[2] &&
      other[3] === shard[3] &&
      each.slice(0, other.index) === prefix
    );
  });
}

/** Models that are each a file, or the first of several. */
export const modelsAmong = (paths: readonly string[], extensions: readonly string[]): readonly string[] =>
  paths.filter(
    (path) =>
      extensions.some((extension) => path.toLowerCase().endsWith(extension)) &&
      !isFurtherShard(path) &&
      !ASIDE.test(path),
  );

/**
 * The file itself, where the address names one; of a folder the file that stands for it, or the only model there is.
 * @throws `E_HUB` where there is none, `E_USAGE` where there are several
 */
export function chooseFile(repository: Repository, path: string | undefined, wanted: Wanted): string {
  const paths = repository.files.filter(canBeRead).map((file) => file.path);
  if (path !== undefined && paths.includes(path)) return path;
  const folder = path === undefined ? "" : `${path}/`;
  const within = paths.filter((each) => each.startsWith(folder));
  const standing = wanted.folderFiles.map((name) => folder + name).find((each) => within.includes(each));
  if (standing !== undefined) return standing;
  const models = modelsAmong(within, wanted.extensions);
  if (models.length === 1) return models[0]!;
  if (models.length > 1) throw several(repository, models);
  throw new FewbitError(
    "E_HUB",
    path !== undefined && within.length === 0
      ? `there is no ${path} in the repository`
      : `there is no ${wanted.extensions.join(" or ")} file in the repository`,
    { file: repository.name(path) },
    "Look at the repository's files and correct the address.",
  );
}

/** Nobody can say which is meant but the user. */
export function several(repository: Repository, models: readonly string[]): FewbitError {
  const shown = [...models].sort().slice(0, 40);
  const more = models.length - shown.length;
  return new FewbitError(
    "E_USAGE",
    `the repository holds ${models.length} models: ${shown.join(", ")}${more > 0 ? ` and ${more} more` : ""}`,
    { file: repository.name() },
    `Say which, such as ${repository.name(shown[0])}.`,
  );
}
