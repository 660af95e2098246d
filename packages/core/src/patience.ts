// Requests to servers that are busy, or connections that break: waiting a little and asking again is what helps.

/** How often a request is tried, and how long is waited. */
export interface Patience {
  readonly tries: number;
  /** Milliseconds before the second try; twice as many before each further one. */
  readonly delay: number;
  /** Milliseconds without a byte after which a connection counts as broken; a minute where absent. */
  readonly silence?: number;
}

/** About eight seconds between the tries, and more where a server says how long. */
export const patience: Required<Patience> = { tries: 5, delay: 500, silence: 60_000 };

/** What a server says that may have another answer soon. */
const passing: ReadonlySet<number> = new Set([408, 429, 500, 502, 503, 504]);
/** Nobody wants to wait longer without a word, whatever a server asks for. */
const LONGEST = 300_000;

/**
 * `fetch`, tried again where the connection fails or is silent or the server is overloaded, as long as the server asks where it does
 * (`Retry-After`, or the seconds of `RateLimit`). The last answer is returned whatever it says.
 *
 * @throws what the last `fetch` throws; the reason of the signal
 */
export async function patientFetch(
  url: string | URL,
  init: RequestInit = {},
  { tries, delay, silence }: Patience = patience,
): Promise<Response> {
  for (let left = tries - 1, wait = delay; ; left--, wait *= 2) {
    let asked: number | undefined;
    try {
      const response = await answerOf(url, init, silence);
      if (left <= 0 || !passing.has(response.status)) return response;
      await response.body?.cancel();
      asked = askedDelay(response.headers);
    } catch (cause) {
      if (left <= 0 || init.signal?.aborted || isLasting(cause)) throw cause;
    }
    await pause(Math.min(asked ?? wait, LONGEST), init.signal ?? undefined);
  }
}

/** `fetch`, which fails where no answer begins. */
async function answerOf(url: string | URL, init: RequestInit, silence = patience.silence): Promise<Response> {
  const silent = new AbortController();
  const timer = setTimeout(
    () => silent.abort(new TypeError("fetch failed", { cause: tooSilent() })),
    silence,
  );
  try {
    const signals = init.signal ? [init.signal, silent.signal] : [silent.signal];
    return await fetch(url, { ...init, signal: AbortSignal.any(signals) });
  } finally {
    clearTimeout(timer);
  }
}

/** Why a connection that is silent counts as broken. */
export const tooSilent = (): Error => Object.assign(new Error("the server is silent"), { code: "ETIMEDOUT" });

/** Failures of the address or of the server's certificate: the next try would end like this one. */
const lasting = /^(ENOTFOUND$|ERR_INVALID_URL$|ERR_TLS_|ERR_SSL_|CERT_|DEPTH_ZERO_|SELF_SIGNED_|UNABLE_TO_)/;

function isLasting(thrown: unknown): boolean {
  const cause = (thrown as Error | undefined)?.cause as { readonly code?: unknown } | undefined;
  return cause !== undefined && (cause.code === undefined || lasting.test(String(cause.code)));
}

/** Milliseconds. */
function askedDelay(headers: Headers): number | undefined {
  const after = headers.get("retry-after");
  if (after !== null) {
    const milliseconds = /^\d+$/.test(after) ? Number(after) * 1000 : Date.parse(after) - Date.now();
    if (!Number.isNaN(milliseconds)) return Math.max(0, milliseconds);
  }
  const reset = /;\s*t=(\d+)/.exec(headers.get("ratelimit") ?? "")?.[1];
  return reset === undefined ? undefined : Number(reset) * 1000;
}

/** @throws the reason of the signal, as soon as it is given */
export function pause(milliseconds: number, signal?: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    if (signal?.aborted) return reject(signal.reason);
    const stop = (): void => {
      clearTimeout(timer);
      reject(signal!.reason);
    };
    const timer = setTimeout(() => {
      signal?.removeEventListener("abort", stop);
      resolve();
    }, milliseconds);
    signal?.addEventListener("abort", stop, { once: true });
  });
}
