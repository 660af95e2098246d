// Whom to ask, and who asks. The token is sent to the hub's own address and to nobody else, and is never put into a
// message, a plan or a document.
import { FewbitError, type Patience, patientFetch } from "@fewbit/core";
import pkg from "../package.json" with { type: "json" };

/** A hub, and who asks it. */
export interface Access {
  /** `https://huggingface.co`, without a slash at the end. */
  readonly endpoint: string;
  readonly token?: string;
  /** How long a busy hub is waited for; core's own measure where absent. */
  readonly patience?: Patience;
}

/**
 * `HF_ENDPOINT` and `HF_TOKEN`, as Hugging Face's own tools take them.
 * @throws `E_USAGE` where they cannot be what they should be
 */
export function accessOf(environment: Readonly<Record<string, string | undefined>>): Access {
  const endpoint = (environment.HF_ENDPOINT?.trim() || "https://huggingface.co").replace(/\/+$/, "");
  const url = URL.canParse(endpoint) ? new URL(endpoint) : undefined;
  if (url === undefined || !/^https?:$/.test(url.protocol) || url.username !== "" || url.password !== "")
    throw new FewbitError(
      "E_USAGE",
      "HF_ENDPOINT is not an http(s) address.",
      {},
      "Set it to the address of a hub, or unset it to use https://huggingface.co.",
    );
  const token = environment.HF_TOKEN?.trim() || undefined;
  // fetch would complain of such a header, and show it.
  if (token !== undefined && !/^[\x21-\x7e]+$/.test(token))
    throw new FewbitError(
      "E_USAGE",
      "HF_TOKEN holds characters that no token has.",
      {},
      "Copy the token again, without line breaks or quotes from a document.",
    );
  return { endpoint, ...(token === undefined ? {} : { token }) };
}

/** Headers for the hub itself. */
export const headersOf = ({ token }: Access): Readonly<Record<string, string>> =>
  token === undefined ? {} : { authorization: `Bearer ${token}` };

const USER_AGENT = `fewbit/${pkg.version}`;

/** `fetch` as the hub's client wants it: patient, and with the token where the request is for the hub. */
export function hubFetch(access: Access, signal?: AbortSignal): typeof fetch {
  return (input, init = {}) => {
    const url = new URL(input instanceof Request ? input.url : input);
    const headers = new Headers(init.headers);
    headers.set("user-agent", USER_AGENT);
    if (url.origin === new URL(access.endpoint).origin)
      for (const [name, value] of Object.entries(headersOf(access))) headers.set(name, value);
    const both = [init.signal, signal].filter((each) => each != null);
    return patientFetch(
      url,
      { ...init, headers, ...(both.length === 0 ? {} : { signal: AbortSignal.any(both) }) },
      access.patience,
    );
  };
}
