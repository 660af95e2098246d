// One commit of a model's repository: everything asked for later is asked for at that commit.
import { type Access, headersOf, hubFetch } from "./access.js";
import { formatAddress, type HubAddress } from "./address.js";
import { explained, unexpected } from "./failure.js";
import { isPlainPath } from "./names.js";

/** A file of the repository, and how to know it. */
export interface HubFile {
  readonly path: string;
  readonly bytes: number;
  readonly checksum: Checksum;
}

/** Large files have a SHA-256; others have what git calls them by, the SHA-1 of `blob SIZE\0` and their bytes. */
export interface Checksum {
  readonly kind: "sha256" | "git-sha1";
  /** Hexadecimal. */
  readonly value: string;
}

/** More entries than this are no model. */
const MAX_FILES = 100_000;

/** Its access is private, so that no document can come to hold the token. */
export class Repository {
  /** `organisation/model` */
  readonly model: string;
  readonly revision: string;
  readonly commit: string;
  readonly files: readonly HubFile[];
  readonly #access: Access;

  private constructor(
    model: string,
    revision: string,
    commit: string,
    files: readonly HubFile[],
    access: Access,
  ) {
    this.model = model;
    this.revision = revision;
    this.commit = commit;
    this.files = files;
    this.#access = access;
  }

  /** @throws `E_HUB`, `E_IO`, the reason of the signal */
  static async open(address: HubAddress, access: Access, signal?: AbortSignal): Promise<Repository> {
    const { model, revision = "main" } = address;
    const asked = { hubUrl: access.endpoint, fetch: hubFetch(access, signal) };
    const file = formatAddress(address);
    try {
      // Only now: most runs of a program never ask a hub.
      const { listFiles, modelInfo } = await import("@huggingface/hub");
      const { sha } = await modelInfo({ ...asked, name: model, revision, additionalFields: ["sha"] });
      if (typeof sha !== "string" || !/^[\da-f]{40,64}$/.test(sha))
        throw unexpected(file, "it names no commit");
      const files: HubFile[] = [];
      const repo = { type: "model", name: model } as const;
      for await (const entry of listFiles({ ...asked, repo, revision: sha, recursive: true })) {
        if (entry.type !== "file") continue;
        files.push(fileOf(entry, file));
        if (files.length > MAX_FILES) throw unexpected(file, `it lists more than ${MAX_FILES} files`);
      }
      return new Repository(model, revision, sha, files, access);
    } catch (thrown) {
      if (signal?.aborted) throw signal.reason;
      throw explained(thrown, file, model, access);
    }
  }

  /** Where a file of this commit is; its path must be plain. */
  urlOf(path: string): string {
    return `${this.#access.endpoint}/${this.model}/resolve/${this.commit}/${path.split("/").map(encodeURIComponent).join("/")}`;
  }

  /** For the hub only. */
  headers(): Readonly<Record<string, string>> {
    return headersOf(this.#access);
  }

  fetch(signal?: AbortSignal): typeof fetch {
    return hubFetch(this.#access, signal);
  }

  /** An address of this repository for people. */
  name(path?: string): string {
    return formatAddress({
      model: this.model,
      ...(this.revision === "main" ? {} : { revision: this.revision }),
      ...(path === undefined ? {} : { path }),
    });
  }

  access(): Access {
    return this.#access;
  }
}

interface Listed {
  readonly path?: unknown;
  readonly size?: unknown;
  readonly oid?: unknown;
  readonly lfs?: { readonly oid?: unknown; readonly size?: unknown };
}

function fileOf({ path, size, oid, lfs }: Listed, file: string): HubFile {
  const bytes = lfs?.size ?? size;
  const value = lfs?.oid ?? oid;
  const kind = lfs === undefined ? "git-sha1" : "sha256";
  if (
    typeof path !== "string" ||
    typeof value !== "string" ||
    !(kind === "sha256" ? /^[\da-f]{64}$/ : /^[\da-f]{40}$/).test(value) ||
    !Number.isSafeInteger(bytes) ||
    (bytes as number) < 0
  )
    throw unexpected(file, "it lists a file without a name, size or checksum");
  return { path, bytes: bytes as number, checksum: { kind, value } };
}

/** Whether a path can be asked for at all: others would lead to other addresses of the hub. */
export const canBeRead = ({ path }: HubFile): boolean => isPlainPath(path);
