import { FewbitError } from "./error.js";
import type { Locator, Source } from "./types.js";

/** How a locator is shown to people. */
export const nameOf = (at: Locator): string =>
  at.kind === "file" ? at.path : at.kind === "url" ? at.url : at.name;

/** The error of every read that finds fewer bytes than were promised. */
export const truncated = (at: Locator, offset: number, wanted: number, found: number): FewbitError =>
  new FewbitError(
    "E_TRUNCATED",
    `${wanted} bytes were expected and ${found} are there`,
    { file: nameOf(at), offset },
    "The file is incomplete, or was shortened while it was read: download or copy it again.",
  );

/** @throws RangeError for anything that is not a byte position: other runtimes would silently read elsewhere */
export function checkPosition(offset: number): void {
  if (!Number.isSafeInteger(offset) || offset < 0) throw new RangeError(`${offset} is not a byte position`);
}

/** A file chosen in a browser, or any bytes in memory. */
export function blobSource(blob: Blob, name: string): Source {
  const at: Locator = { kind: "blob", blob, name };
  return {
    at,
    size: blob.size,
    async read(offset, into) {
      checkPosition(offset);
      const bytes = new Uint8Array(await blob.slice(offset, offset + into.length).arrayBuffer());
      if (bytes.length !== into.length) throw truncated(at, offset, into.length, bytes.length);
      into.set(bytes);
    },
    close: async () => {},
  };
}

/** Bytes that are in memory already, as a source. */
export const memorySource = (bytes: Uint8Array<ArrayBuffer>, name = "memory"): Source =>
  blobSource(new Blob([bytes]), name);

/**
 * A file behind HTTP, read by range requests.
 * @throws `E_IO` where the server fails, or does not answer range requests
 */
export async function urlSource(
  url: string,
  headers: Readonly<Record<string, string>> = {},
): Promise<Source> {
  const at: Locator = Object.keys(headers).length > 0 ? { kind: "url", url, headers } : { kind: "url", url };
  const first = await request(url, headers, 0, 1);
  await first.body?.cancel();
  const total = /\/(\d+)$/.exec(first.headers.get("content-range") ?? "")?.[1];
  if (total === undefined) throw noRanges(url);
  const version = first.headers.get("etag") ?? first.headers.get("last-modified");
  return {
    at,
    size: Number(total),
    async read(offset, into) {
      checkPosition(offset);
      if (into.length === 0) return;
      const response = await request(url, headers, offset, into.length);
      if (
        version !== null &&
        version !== (response.headers.get("etag") ?? response.headers.get("last-modified"))
      )
        throw new FewbitError(
          "E_INPUT_CHANGED",
          "the file changed on the server",
          { file: url, offset },
          "Start again.",
        );
      const bytes = new Uint8Array(await response.arrayBuffer());
      if (bytes.length !== into.length) throw truncated(at, offset, into.length, bytes.length);
      into.set(bytes);
    },
    close: async () => {},
  };
}

const noRanges = (url: string): FewbitError =>
  new FewbitError(
    "E_IO",
    "the server does not answer range requests",
    { file: url },
    "Download the file first.",
  );

async function request(
  url: string,
  headers: Readonly<Record<string, string>>,
  offset: number,
  length: number,
): Promise<Response> {
  let response: Response;
  try {
    response = await fetch(url, { headers: { ...headers, range: `bytes=${offset}-${offset + length - 1}` } });
  } catch (cause) {
    const why =
      cause instanceof Error ? ((cause.cause as Error | undefined)?.message ?? cause.message) : String(cause);
    throw new FewbitError(
      "E_IO",
      `the request failed: ${why}`,
      { file: url, offset },
      "Check the address and the network.",
      cause,
    );
  }
  if (response.status === 206) return response;
  await response.body?.cancel();
  if (response.status === 200) throw noRanges(url);
  if (response.status === 416)
    throw new FewbitError(
      "E_TRUNCATED",
      "the file is empty or shorter than expected",
      { file: url, offset },
      "Check the address.",
    );
  throw new FewbitError(
    "E_IO",
    `the server answered ${response.status} ${response.statusText}`,
    { file: url },
    "Check the address and your access.",
  );
}
