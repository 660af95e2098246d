// The browser of the tests that need one: they are skipped where there is none, and their name says so.
import { existsSync } from "node:fs";

/** Where it is on systems that have one. FEWBIT_CHROMIUM overrides the place. */
const places = [
  process.env.FEWBIT_CHROMIUM,
  "/usr/bin/chromium",
  "/usr/bin/chromium-browser",
  "/usr/bin/google-chrome",
  "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome",
  "C:\\Program Files\\Google\\Chrome\\Application\\chrome.exe",
];

export const chromium: string | undefined = places.find((place) => place !== undefined && existsSync(place));

const missing = "no Chromium was found: install it, or set FEWBIT_CHROMIUM";
if (chromium === undefined) console.warn(`Tests in a browser are skipped, because ${missing}.`);

/** For the names of such tests. */
export const inBrowser = chromium === undefined ? `in a browser (skipped: ${missing})` : "in a browser";

/** Containers run tests as root, where Chromium has no sandbox; the pages are our own. */
export const chromiumArguments: readonly string[] = process.getuid?.() === 0 ? ["--no-sandbox"] : [];
