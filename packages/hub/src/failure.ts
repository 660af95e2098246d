import { FewbitError, isFewbitError } from "@fewbit/core";
import type { Access } from "./access.js";

/** What a status of the hub means to somebody who wants this model. */
export function refusal(
  status: number,
  file: string,
  model: string,
  access: Access,
  cause?: unknown,
): FewbitError {
  const known = access.token !== undefined;
  const say = (message: string, remedy: string): FewbitError =>
    new FewbitError("E_HUB", `the hub answered ${status}: ${message}`, { file }, remedy, cause);
  switch (status) {
    case 401:
      return known
        ? say(
            "it does not accept the token in HF_TOKEN, or there is no such model",
            "Check the address, and whether the token is still valid.",
          )
        : say(
            "there is no such model, or it is private or gated",
            "Check the address; for a private or gated model set HF_TOKEN to a token of an account that may read it.",
          );
    case 403:
      return say(
        known ? "this account may not read the model" : "the model may only be read by those who were let in",
        `Ask for access at ${access.endpoint}/${model}${known ? "" : ", and set HF_TOKEN to your token"}.`,
      );
    case 404:
      return say("there is no such model, revision or file", "Check the address.");
    case 429:
      return say(
        "there were too many requests",
        known
          ? "Wait some minutes and start again."
          : "Wait some minutes, or set HF_TOKEN: more is allowed with a token.",
      );
    default:
      return say("it failed", "Try again later.");
  }
}

/** Whatever went wrong while the hub was asked, in our own words. Texts of a server are not repeated. */
export function explained(thrown: unknown, file: string, model: string, access: Access): unknown {
  if (isFewbitError(thrown)) return thrown;
  const status = (thrown as { statusCode?: unknown } | undefined)?.statusCode;
  if (typeof status === "number") return refusal(status, file, model, access);
  if (!(thrown instanceof Error) || thrown.name === "AbortError") return thrown;
  if (thrown instanceof TypeError && thrown.message === "fetch failed") {
    const why = (thrown.cause as Error | undefined)?.message ?? thrown.message;
    return new FewbitError(
      "E_IO",
      `the request failed: ${why}`,
      { file },
      "Check the network, and HF_ENDPOINT where it is set.",
      thrown,
    );
  }
  return unexpected(file, thrown.message, thrown);
}

export const unexpected = (file: string, what: string, cause?: unknown): FewbitError =>
  new FewbitError(
    "E_HUB",
    `the hub's answer is not understood: ${what}`,
    { file },
    "Check HF_ENDPOINT where it is set; otherwise try again later.",
    cause,
  );
