import { FewbitError, isFewbitError } from "./error.js";
import { type Patience, patience, patientFetch, pause, tooSilent } from "./patience.js";
import type { Locator, Source, StoredLocator } from "./types.js";
import { storedUnder } from "./view.js";

/** How a locator is shown to people: of a computed tensor, the first file that it comes from. */
export function nameOf(at: Locator): string {
  switch (at.kind) {
    case "file":
      return at.path;
    case "url":
      return at.url;
    case "blob":
      return at.name;
    case "view": {
      const [first] = storedUnder(at.view);
      return first === undefined ? "a computed tensor" : nameOf(first.from);
    }
  }
}

/** A file's name without its folder, host or query. */
export const bareName = (at: Locator): string =>
  at.kind === "url"
    ? decoded(new URL(at.url).pathname.split("/").at(-1)!)
    : nameOf(at).split(/[/\\]/).at(-1)!;

/** Part of an address; as it is where it is not well encoded. */
export function decoded(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

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
  const at: StoredLocator = { kind: "blob", blob, name };
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
 * that again, on another thread, gets the same bytes or an error. Where the address leads elsewhere, that place is asked
 * as long as it answers.
 *
 * @param headers for the address itself. A secret belongs into `authorization`: that alone stays behind where `fetch` is
 *   led to another server
 * @param version the ETag or Last-Modified that the file must have; any where absent
 * @throws `E_IO` where the server fails, or does not answer range requests; `E_INPUT_CHANGED` for another version
 */
export async function urlSource(
  url: string,
  headers: Readonly<Record<string, string>> = {},
  version?: string,
  patient: Patience = patience,
): Promise<Source> {
  const place: Place = { url, headers, patient };
  const first = await request(place, 0, 1);
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
      const found = await readRange(place, opened, offset, into);
      if (found !== into.length) throw truncated({ kind: "url", url }, offset, into.length, found);
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

/**
 * A connection may break after the answer has begun: the whole range is asked for again.
 * @returns how many bytes came; fewer where the file ends
 */
async function readRange(
  place: Place,
  opened: string | undefined,
  offset: number,
  into: Uint8Array,
): Promise<number> {
  for (let left = place.patient.tries - 1, wait = place.patient.delay; ; left--, wait *= 2) {
    const response = await request(place, offset, into.length);
    const reader = (response.body ?? new Blob().stream()).getReader();
    try {
      refuseOther(opened, response, place.url, offset);
      return await readBody(reader, into, place, offset);
    } catch (cause) {
      if (isFewbitError(cause)) throw cause;
      if (left <= 0) throw requestFailed(cause, place.url, offset);
      await pause(wait);
    } finally {
      await reader.cancel().catch(() => {});
    }
  }
}

/** As it comes, so that a server that sends without end fills no memory. */
async function readBody(
  reader: ReadableStreamDefaultReader<Uint8Array>,
  into: Uint8Array,
  { url, patient: { silence = patience.silence } }: Place,
  offset: number,
): Promise<number> {
  for (let done = 0; ; ) {
    const step = await spoken(reader.read(), silence);
    if (step.done) return done;
    if (done + step.value.length > into.length) throw otherRange(url, offset);
    into.set(step.value, done);
    done += step.value.length;
  }
}

/** What is being read, unless it does not come. */
function spoken<T>(work: Promise<T>, silence: number): Promise<T> {
  let timer: ReturnType<typeof setTimeout>;
  const silent = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(tooSilent()), silence);
  });
  return Promise.race([work, silent]).finally(() => clearTimeout(timer));
}

const otherRange = (url: string, offset: number): FewbitError =>
  new FewbitError(
    "E_IO",
    "the server answers with another range than it was asked for",
    { file: url, offset },
    "Download the file first.",
  );

const noRanges = (url: string): FewbitError =>
  new FewbitError(
    "E_IO",
    "the server does not answer range requests",
    { file: url },
    "Download the file first.",
  );

/** What a server says that has no such file; some say 403 to those who may not list what is there. */
const absent: ReadonlySet<number> = new Set([403, 404, 410]);

/** Where the bytes of a source are asked for. */
interface Place {
  readonly url: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly patient: Patience;
  /** Where the last request was led to: signed addresses of other servers stop answering after a while. */
  led?: string;
}

async function request(place: Place, offset: number, length: number): Promise<Response> {
  const { url, headers, patient, led } = place;
  const range = `bytes=${offset}-${offset + length - 1}`;
  const foreign = led !== undefined && new URL(led).origin !== new URL(url).origin;
  let response: Response;
  try {
    response = await patientFetch(
      led ?? url,
      { headers: foreign ? { range } : { ...headers, range } },
      patient,
    );
  } catch (cause) {
    throw requestFailed(cause, url, offset);
  }
  if (led !== undefined && response.status !== 206) {
    await response.body?.cancel();
    delete place.led;
    return request(place, offset, length);
  }
  if (response.redirected) place.led = response.url;
  if (response.status === 206 && startOf(response) === offset) return response;
  await response.body?.cancel();
  if (response.status === 206)
    throw startOf(response) === undefined ? noRanges(url) : otherRange(url, offset);
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
    `the server answered ${response.status} ${response.statusText}`.trimEnd(),
    { file: url },
    "Check the address and your access.",
    Object.assign(
      new Error(`HTTP ${response.status}`),
      absent.has(response.status) ? { code: "ENOENT" } : {},
    ),
  );
}

/** The first byte of a partial answer. */
function startOf({ headers }: Response): number | undefined {
  const start = /^bytes (\d+)-/i.exec(headers.get("content-range") ?? "")?.[1];
  return start === undefined ? undefined : Number(start);
}

function requestFailed(cause: unknown, url: string, offset: number): FewbitError {
  const why =
    cause instanceof Error ? ((cause.cause as Error | undefined)?.message ?? cause.message) : String(cause);
  return new FewbitError(
    "E_IO",
    `the request failed: ${why}`,
    { file: url, ...(offset > 0 ? { offset } : {}) },
    "Check the address and the network.",
    cause,
  );
}
