import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { patientFetch, pause } from "../src/patience.js";

/** What `fetch` does next; one that throws is a request that fails. */
let answers: (() => Response)[];
let asked: number;
beforeEach(() => {
  vi.useFakeTimers({ now: Date.UTC(2026, 0, 1) });
  asked = 0;
  vi.stubGlobal("fetch", async () => {
    asked++;
    return (answers.shift() ?? (() => new Response("fine")))();
  });
});
afterEach(() => {
  vi.useRealTimers();
  vi.unstubAllGlobals();
});
const refuse =
  (status: number, headers: Record<string, string> = {}) =>
  () =>
    new Response("later", { status, headers });

test.each([
  ["seconds", { "retry-after": "30" }, 30],
  ["a date", { "retry-after": new Date(Date.UTC(2026, 0, 1, 0, 0, 40)).toUTCString() }, 40],
  ["a date that is over", { "retry-after": new Date(0).toUTCString() }, 0],
  ["the window of a rate limit", { ratelimit: '"resolvers";r=0;t=55' }, 55],
  ["hours, which are too long", { "retry-after": "99999" }, 300],
  ["nothing", {}, 0.5],
  ["nonsense", { "retry-after": "soon" }, 0.5],
])("a server is waited for as long as it asks: %s", async (_, headers, seconds) => {
  answers = [refuse(429, headers)];
  const answer = patientFetch("http://example.org");
  await vi.advanceTimersByTimeAsync(Math.max(0, seconds * 1000 - 1));
  expect(asked).toBe(seconds === 0 ? 2 : 1);
  await vi.advanceTimersByTimeAsync(1);
  expect(await (await answer).text()).toBe("fine");
});

test("each time twice as long, and five times in all", async () => {
  answers = Array.from({ length: 9 }, () => refuse(503));
  const answer = patientFetch("http://example.org");
  const at: number[] = [];
  for (let tenth = 0; tenth < 100; tenth++) {
    at.push(asked);
    await vi.advanceTimersByTimeAsync(100);
  }
  expect([1, 2, 3, 4, 5].map((n) => at.indexOf(n) / 10)).toEqual([0, 0.5, 1.5, 3.5, 7.5]);
  expect((await answer).status).toBe(503);
});

test.each([400, 401, 403, 404, 416])("what will not change is not asked again: %i", async (status) => {
  answers = [refuse(status)];
  expect((await patientFetch("http://example.org")).status).toBe(status);
  expect(asked).toBe(1);
});

test("waiting ends where it is stopped", async () => {
  answers = [refuse(503)];
  const stop = new AbortController();
  const answer = patientFetch("http://example.org", { signal: stop.signal });
  const rejected = expect(answer).rejects.toThrow("enough");
  await vi.advanceTimersByTimeAsync(1);
  stop.abort(new Error("enough"));
  await rejected;
  expect(vi.getTimerCount()).toBe(0);
  await expect(pause(1, stop.signal)).rejects.toThrow("enough");
});

test.each([
  ["is tried again where the connection broke", { code: "ECONNRESET" }, 2],
  ["is tried again where the system does not say why", undefined, 2],
  ["is not where there is no such server", { code: "ENOTFOUND" }, 1],
  ["is not where the address is none", new Error("bad port"), 1],
  ["is not where the address is malformed", { code: "ERR_INVALID_URL" }, 1],
  ["is not where the certificate is not trusted", { code: "SELF_SIGNED_CERT_IN_CHAIN" }, 1],
])("a request that fails %s", async (_, cause, times) => {
  answers = [
    () => {
      throw new TypeError("fetch failed", cause === undefined ? {} : { cause });
    },
  ];
  const outcome = patientFetch("http://example.org").then(
    () => "answered",
    (thrown: Error) => thrown.message,
  );
  await vi.advanceTimersByTimeAsync(1000);
  expect(await outcome).toBe(times === 2 ? "answered" : "fetch failed");
  expect(asked).toBe(times);
});
