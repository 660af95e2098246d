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
 * A file behind HTTP, read by range requests. Its locator says which version of the file was opened: whoever opens
 * that again, on another thread, gets the same bytes or an error.
 *
 * @param version the ETag or Last-Modified that the file must have; any where absent
 * @throws `E_IO` where the server fails, or does not answer range requests; `E_INPUT_CHANGED` for another version
 */
export async function urlSource(
  url: string,
  headers: Readonly<Record<string, string>> = {},
  version?: string,
): Promise<Source> {
  const first = await request(url, headers, 0, 1);
  await first.body?.cancel();
  const total = /\/(\d+)$/.exec(first.headers.get("content-range") ?? "")?.[1];
  if (total === undefined) throw noRanges(url);
  const opened = version ?? versionOf(first);
  refuseOther(opened, first, url, 0);
  return {
    at: {
      kind: "url",
      url,
      ...(Object.keys(headers).length > 0 ? { headers } : {}),
      ...(opened === undefined ? {} : { version: opened }),
    },
    size: Number(total),
    async read(offset, into) {
      checkPosition(offset);
      if (into.length === 0) return;
      const response = await request(url, headers, offset, into.length);
      refuseOther(opened, response, url, offset);
      const bytes = await bodyOf(response, url, offset);
      if (bytes.length !== into.length)
        throw truncated({ kind: "url", url }, offset, into.length, bytes.length);
      into.set(bytes);
    },
    close: async () => {},
  };
}

/** What a server calls the state of a file; it may not say. */
const versionOf = ({ headers }: Response): string | undefined =>
  headers.get("etag") ?? headers.get("last-modified") ?? undefined;

function refuseOther(opened: string | undefined, response: Response, url: string, offset: number): void {
  if (opened === undefined || versionOf(response) === opened) return;
  throw new FewbitError(
    "E_INPUT_CHANGED",
    "the file changed on the server",
    { file: url, offset },
    "Start again.",
  );
}

async function bodyOf(response: Response, url: string, offset: number): Promise<Uint8Array> {
  try {
    return new Uint8Array(await response.arrayBuffer());
  } catch (cause) {
    throw requestFailed(cause, url, offset);
  }
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
    throw requestFailed(cause, url, offset);
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

function requestFailed(cause: unknown, url: string, offset: number): FewbitError {
  const why =
    cause instanceof Error ? ((cause.cause as Error | undefined)?.message ?? cause.message) : String(cause);
  return new FewbitError(
    "E_IO",
    `the request failed: ${why}`,
    { file: url, offset },
    "Check the address and the network.",
    cause,
  );
}
