import {
  FewbitError,
  memorySource,
  type Resolved,
  type Resolver,
  type Source,
  urlSource,
  type Wanted,
} from "@fewbit/core";
import { type Access, accessOf } from "./access.js";
import { isHubAddress, parseAddress } from "./address.js";
import { chooseFile } from "./choice.js";
import { explained, refusal } from "./failure.js";
import { canBeRead, type HubFile, Repository } from "./repository.js";

/**
 * Opens `hf://organisation/model[@revision][/path]` in place, by range requests at the commit that the revision is now.
 * Nothing is stored. `access` is asked at each opening; that of the environment where absent.
 */
export const hubResolver = (access: () => Access = () => accessOf(process.env)): Resolver => ({
  id: "hf",
  matches: isHubAddress,
  open: (address, wanted) => openOnHub(address, wanted, access()),
});

/**
 * @throws `E_USAGE` for a malformed address, or one that several models answer to; `E_HUB` where the hub refuses or the
 *   model is not there; `E_IO`
 */
async function openOnHub(text: string, wanted: Wanted, access: Access): Promise<Resolved> {
  const address = parseAddress(text);
  const repository = await Repository.open(address, access);
  const path = chooseFile(repository, address.path, wanted);
  const folder = path.slice(0, path.lastIndexOf("/") + 1);
  const files = new Map(repository.files.filter(canBeRead).map((file) => [file.path, file]));
  await refuseLocked(repository, path);
  return {
    source: await openFile(repository, files.get(path)!),
    async sibling(name) {
      const file = files.get(folder + name);
      if (file === undefined)
        throw new FewbitError(
          "E_IO",
          "there is no such file in the repository",
          { file: repository.name(folder + name) },
          "Check the address.",
        );
      return openFile(repository, file);
    },
    list: async () =>
      [...files.keys()]
        .filter((each) => each.startsWith(folder) && !each.includes("/", folder.length))
        .map((each) => each.slice(folder.length)),
  };
}

/** Anybody may list the files of a gated model; only reading one shows whether that is allowed. */
async function refuseLocked(repository: Repository, path: string): Promise<void> {
  const access = repository.access();
  const file = repository.name(path);
  let found: unknown;
  try {
    const { fileDownloadInfo } = await import("@huggingface/hub");
    found = await fileDownloadInfo({
      repo: { type: "model", name: repository.model },
      path: path.split("/").map(encodeURIComponent).join("/"),
      revision: repository.commit,
      hubUrl: access.endpoint,
      fetch: repository.fetch(),
    });
  } catch (thrown) {
    throw explained(thrown, file, repository.model, access);
  }
  if (found === null) throw refusal(404, file, repository.model, access);
}

async function openFile(repository: Repository, { path, bytes }: HubFile): Promise<Source> {
  // No range can be asked for of an empty file.
  if (bytes === 0) return memorySource(new Uint8Array(0), repository.urlOf(path));
  const { patience } = repository.access();
  const source = await urlSource(repository.urlOf(path), repository.headers(), undefined, patience);
  if (source.size === bytes) return source;
  throw new FewbitError(
    "E_HUB",
    `the hub lists ${bytes} bytes and offers ${source.size}`,
    { file: repository.name(path) },
    "Try again later.",
  );
}
