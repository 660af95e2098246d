import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { type Browser, chromium as driver, type Page } from "playwright-core";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { chromium, chromiumArguments, inBrowser } from "../../../tooling/chromium.js";
import type { ReportData } from "../src/data.js";
import { renderReport } from "../src/page.js";
import { hostile, hostileReport, sample } from "./sample.js";

let folder: string;
let browser: Browser;
let pages = 0;

interface Opened {
  readonly page: Page;
  /** Everything the page said on its console, threw, or asked the network for. */
  readonly trouble: string[];
}

interface View {
  readonly width?: number;
  readonly scheme?: "light" | "dark";
  readonly script?: boolean;
}

async function open(
  data: ReportData,
  { width = 1280, scheme = "light", script = true }: View = {},
): Promise<Opened> {
  const file = join(folder, `${pages++}.html`);
  writeFileSync(file, await renderReport(data));
  const context = await browser.newContext({
    viewport: { width, height: 800 },
    colorScheme: scheme,
    javaScriptEnabled: script,
  });
  const page = await context.newPage();
  const trouble: string[] = [];
  page.on("console", (message) => trouble.push(message.text()));
  page.on("pageerror", (error) => trouble.push(String(error)));
  page.on("dialog", (dialog) => trouble.push(dialog.message()));
  page.on("request", (request) => {
    if (request.url() !== pathToFileURL(file).href) trouble.push(request.url());
  });
  await page.goto(pathToFileURL(file).href);
  return { page, trouble };
}

/** Distribution of made-up weights, so that every kind of chart is on the page. */
const complete = (): ReportData => {
  const data = sample(6, 4);
  const counts = Array.from({ length: 61 }, (_, i) => Math.round(1000 * Math.exp(-(((i - 30) / 10) ** 2))));
  const histogram = { from: -0.1, to: 0.1, counts };
  return {
    ...data,
    distributions: [
      {
        tensor: "blk.0.ffn_down.weight",
        shape: [4096, 4096],
        original: histogram,
        candidates: data.candidates.map(({ file }) => ({
          file,
          dtype: "Q4_K",
          decoded: histogram,
          codes: { meaning: "4-bit levels", first: 0, counts: Array.from({ length: 16 }, (_, i) => i + 1) },
        })),
      },
    ],
  };
};

describe.skipIf(chromium === undefined)(inBrowser, () => {
  beforeAll(async () => {
    folder = mkdtempSync(join(tmpdir(), "fewbit-report-"));
    browser = await driver.launch({
      executablePath: chromium!,
      args: [...chromiumArguments],
    });
  });
  afterAll(async () => {
    await browser?.close();
    rmSync(folder, { recursive: true, force: true });
  });

  test("says nothing on the console and asks the network for nothing", async () => {
    const { page, trouble } = await open(complete());
    for (const summary of await page.locator("summary").all()) await summary.click();
    expect(trouble).toEqual([]);
  });

  test("the policy lets nothing else in", async () => {
    const { page } = await open(sample(2));
    const ran = await page.evaluate(async () => {
      const script = document.createElement("script");
      script.textContent = "window.broken = 1";
      document.body.append(script);
      const blocked = new Promise((resolve) =>
        addEventListener("securitypolicyviolation", resolve, { once: true }),
      );
      document.body.insertAdjacentHTML("beforeend", '<img src="data:image/gif;base64,R0lGODlhAQABAAAAACw=">');
      await blocked;
      return (window as { broken?: number }).broken;
    });
    expect(ran).toBeUndefined();
  });

  test("hostile names run nothing and stick out nowhere", async () => {
    const names = Object.values(hostile);
    const reports = names.map(hostileReport);
    const [first] = reports;
    const { page, trouble } = await open(
      {
        ...first!,
        candidates: reports.map(({ candidates }) => candidates[0]!),
        distributions: reports.flatMap(({ distributions = [] }) => distributions),
        commands: names,
      },
      { width: 360 },
    );
    for (const summary of await page.locator("summary").all()) await summary.click();
    for (const choice of await page.getByRole("radio").all()) {
      await choice.check();
      await page.locator(".map:visible [data-i]").first().hover({ force: true });
      expect(await page.locator("#tip").isVisible()).toBe(true);
    }
    expect(await page.evaluate(() => (window as { broken?: number }).broken)).toBeUndefined();
    expect(trouble).toEqual([]);
    expect(await page.evaluate(() => document.documentElement.scrollWidth)).toBeLessThanOrEqual(360);
  });

  const column = (page: Page, n: number): Promise<string[]> =>
    page
      .locator(`#candidates tbody.rows tr > :nth-child(${n})`)
      .evaluateAll((cells) => cells.map((cell) => (cell as HTMLElement).dataset.value!));

  test("columns sort by value, both ways, and say so; the reference stays", async () => {
    const data = sample(12);
    const { page } = await open(data);
    const kld = page.getByRole("columnheader", { name: "Mean KLD" });
    const ascending = data.candidates.map(({ kld }) => kld!.mean).sort((a, b) => a - b);
    await kld.getByRole("button").click();
    expect(await kld.getAttribute("aria-sort")).toBe("ascending");
    expect((await column(page, 4)).map(Number)).toEqual(ascending);
    await kld.getByRole("button").click();
    expect(await kld.getAttribute("aria-sort")).toBe("descending");
    expect((await column(page, 4)).map(Number)).toEqual(ascending.reverse());
    await page.getByRole("columnheader", { name: "Candidate" }).getByRole("button").click();
    expect(await kld.getAttribute("aria-sort")).toBe("none");
    const names = await column(page, 1);
    expect(names).toEqual([...names].sort((a, b) => a.localeCompare(b, undefined, { numeric: true })));
    expect(await page.locator("#candidates tbody").first().textContent()).toContain("reference");
  });

  test("what was not measured stays last", async () => {
    const data = sample(3);
    const { kld: _, ...unmeasured } = data.candidates[0]!;
    const { page } = await open({ ...data, candidates: [unmeasured, ...data.candidates.slice(1)] });
    const button = page.getByRole("columnheader", { name: "Mean KLD" }).getByRole("button");
    for (let i = 0; i < 2; i++) {
      await button.click();
      expect((await column(page, 4)).map((value) => value === undefined || value === null)).toEqual([
        false,
        false,
        true,
      ]);
    }
  });

  test("the filter hides rows and counts the rest", async () => {
    const { page } = await open(sample(8));
    await page.getByLabel("Filter").fill("iq");
    expect(await page.locator("#candidates tbody.rows tr:visible").count()).toBe(2);
    expect(await page.locator("#matches").textContent()).toBe("2 of 8");
    await page.getByLabel("Filter").fill("");
    expect(await page.locator("#candidates tbody.rows tr:visible").count()).toBe(8);
  });

  test("the theme follows the system, and the button turns it", async () => {
    const { page } = await open(sample(2));
    const colour = (): Promise<string> =>
      page.evaluate(() => getComputedStyle(document.body).backgroundColor);
    const light = await colour();
    await page.emulateMedia({ colorScheme: "dark" });
    const dark = await colour();
    expect(dark).not.toBe(light);
    await page.getByRole("button", { name: "Light theme" }).click();
    expect(await colour()).toBe(light);
    await page.getByRole("button", { name: "Dark theme" }).click();
    expect(await colour()).toBe(dark);
  });

  test("one map is shown at a time; a cell shows its tensor's figures, to the pointer and to the keyboard", async () => {
    const data = sample(3, 3);
    const { page } = await open(data);
    expect(await page.locator(".map:visible").count()).toBe(1);
    await page.getByRole("radio", { name: "Q5_K_M" }).check();
    expect(await page.locator(".map:visible figcaption").textContent()).toBe("Q5_K_M");
    const tip = page.locator("#tip");
    expect(await tip.isVisible()).toBe(false);
    const { names } = JSON.parse((await page.locator("#data").textContent())!) as { names: string[] };
    const tensor = data.candidates[2]!.tensors!.find(({ name }) => name === "blk.2.attn_v.weight")!;
    await page.locator(`.map:visible [data-i="${names.indexOf(tensor.name)}"]`).hover();
    expect(await tip.textContent()).toContain(tensor.name);
    expect(await tip.textContent()).toContain(`SQNR ${tensor.sqnr.toFixed(2)} dB`);

    const map = page.getByRole("region", { name: "Heat map of Q5_K_M" });
    await page.mouse.move(0, 0);
    await map.focus();
    const seen: string[] = [];
    for (const key of ["ArrowDown", "ArrowDown", "ArrowRight", "ArrowUp"]) {
      await page.keyboard.press(key);
      seen.push((await tip.locator("b").textContent())!);
    }
    expect(seen).toEqual([
      "token_embd.weight",
      "blk.1.attn_q.weight",
      "blk.2.attn_q.weight",
      "token_embd.weight",
    ]);
    await page.keyboard.press("Escape");
    expect(await tip.isVisible()).toBe(false);
  });

  test("the table of all tensors has those of the chosen candidate, and sorts", async () => {
    const data = sample(2, 4);
    const { page } = await open(data);
    await page.getByText("All tensors of").click();
    await page.locator("#all tbody tr").first().waitFor();
    const rows = page.locator("#all tbody tr");
    expect(await rows.count()).toBe(data.candidates[0]!.tensors!.length);
    await page.locator("#all th", { hasText: "SQNR" }).getByRole("button").click();
    const worst = data.candidates[0]!.tensors!.reduce((a, b) => (a.sqnr <= b.sqnr ? a : b));
    expect(await rows.first().locator("th").textContent()).toBe(worst.name);
    expect(await rows.last().locator("td").nth(3).textContent()).toBe("exact");
    await page.getByRole("radio", { name: "Q6_K" }).check();
    expect(await page.locator("#all summary").textContent()).toBe("All tensors of Q6_K");
    expect(await rows.count()).toBe(data.candidates[1]!.tensors!.length);
  });

  test("tensors of which figures are no number, and layers far apart", async () => {
    const data = sample(1, 2);
    const figures = [Number.NaN, Number.NEGATIVE_INFINITY, Number.POSITIVE_INFINITY];
    const tensors = data.candidates[0]!.tensors!.slice(0, 3).map((tensor, i) => ({
      ...tensor,
      name: `blk.${i * 49_999}.attn_q.weight`,
      sqnr: figures[i]!,
      rmse: figures[i]!,
    }));
    const { page, trouble } = await open({ ...data, candidates: [{ ...data.candidates[0]!, tensors }] });
    const cells = page.locator(".map [data-i]");
    const seen: string[] = [];
    for (const cell of await cells.all()) {
      await cell.hover();
      seen.push((await page.locator("#tip div").nth(1).textContent())!.split(",")[0]!);
    }
    // The third is exact, which no candidate has otherwise: it is not drawn.
    expect(seen).toEqual(["SQNR not a number", "SQNR −∞"]);
    await page.getByText("All tensors of").click();
    await page.locator("#all tbody tr").first().waitFor();
    await page.locator("#all th", { hasText: "SQNR" }).getByRole("button").click();
    const column = await page.locator("#all tbody tr td:nth-child(5)").allTextContents();
    expect(column).toEqual(["−∞", "exact", "not a number"]);
    expect((await page.locator(".map svg").boundingBox())!.width).toBeLessThan(400);
    expect(trouble).toEqual([]);
  });

  test("nothing sticks out of a window, down to 360 px", async () => {
    for (const data of [complete(), sample(3, 80), sample(100)]) {
      const { page } = await open(data);
      for (const summary of await page.locator("summary").all()) await summary.click();
      for (const width of [1280, 768, 360]) {
        await page.setViewportSize({ width, height: 800 });
        expect(await page.evaluate(() => document.documentElement.scrollWidth)).toBeLessThanOrEqual(width);
      }
    }
  });

  test("without script, every figure and map is there and no dead control", async () => {
    const { page } = await open(complete(), { script: false });
    expect(await page.locator("button:visible, input:visible").count()).toBe(0);
    expect(await page.locator(".map:visible").count()).toBe(6);
    expect(await page.locator("#candidates tbody.rows tr:visible").count()).toBe(6);
  });

  test.each(["light", "dark"] as const)("text has a contrast of 4.5 or more, %s", async (scheme) => {
    const { page } = await open(complete(), { scheme });
    for (const summary of await page.locator("summary").all()) await summary.click();
    const poor = await page.evaluate(() => {
      const canvas = document.createElement("canvas").getContext("2d", { willReadFrequently: true })!;
      const rgb = (colour: string): number[] => {
        canvas.clearRect(0, 0, 1, 1);
        canvas.fillStyle = colour;
        canvas.fillRect(0, 0, 1, 1);
        return [...canvas.getImageData(0, 0, 1, 1).data];
      };
      const luminance = (colour: number[]): number => {
        const [r, g, b] = colour.map((part) =>
          part / 255 <= 0.04045 ? part / 255 / 12.92 : ((part / 255 + 0.055) / 1.055) ** 2.4,
        );
        return 0.2126 * r! + 0.7152 * g! + 0.0722 * b!;
      };
      const behind = (element: Element): string => {
        for (let at: Element | null = element; at; at = at.parentElement) {
          const { backgroundColor } = getComputedStyle(at);
          if (rgb(backgroundColor)[3] === 255) return backgroundColor;
        }
        return "white";
      };
      // Figures in cells stand on the cell of the same row and column.
      const cellOf = (text: Element): string | undefined => {
        const { left, top, width, height } = text.getBoundingClientRect();
        const [x, y] = [left + width / 2, top + height / 2];
        const cell = [...text.closest("svg")!.querySelectorAll("rect[data-i]")].find((rect) => {
          const box = rect.getBoundingClientRect();
          return box.left <= x && x <= box.right && box.top <= y && y <= box.bottom;
        });
        return cell && getComputedStyle(cell).fill;
      };
      const found: string[] = [];
      for (const element of document.querySelectorAll("body *")) {
        const own = [...element.childNodes].some(
          (node) => node.nodeType === 3 && node.textContent!.trim() !== "",
        );
        if (!own || !(element as HTMLElement).checkVisibility()) continue;
        if (["SCRIPT", "TITLE", "title"].includes(element.tagName)) continue;
        const drawn = element.closest("svg") !== null;
        const style = getComputedStyle(element);
        const colour = drawn ? style.fill : style.color;
        const ground = (drawn && cellOf(element)) || behind(element);
        const [a, b] = [luminance(rgb(colour)), luminance(rgb(ground))].sort((x, y) => y - x);
        const contrast = (a! + 0.05) / (b! + 0.05);
        if (contrast < 4.5)
          found.push(
            `${element.tagName} "${element.textContent!.slice(0, 30)}" ${colour} on ${ground}: ${contrast.toFixed(2)}`,
          );
      }
      return found;
    });
    expect(poor).toEqual([]);
  });

  test("has one h1, headings in order, captions, names for every control and picture, and unique ids", async () => {
    const { page } = await open(complete());
    for (const summary of await page.locator("summary").all()) await summary.click();
    const problems = await page.evaluate(() => {
      const found: string[] = [];
      const all = (selector: string): Element[] => [...document.querySelectorAll(selector)];
      if (all("h1").length !== 1) found.push("h1");
      let level = 1;
      for (const heading of all("h1, h2, h3, h4")) {
        const next = Number(heading.tagName[1]);
        if (next > level + 1) found.push(`${heading.tagName} after H${level}`);
        level = next;
      }
      for (const table of all("table"))
        if (!table.querySelector("caption") && !table.closest("[aria-label]"))
          found.push("table without a caption");
      for (const cell of all("th"))
        if (!cell.hasAttribute("scope")) found.push(`th without scope: ${cell.textContent}`);
      for (const svg of all("svg"))
        if (svg.getAttribute("aria-hidden") !== "true" && !svg.getAttribute("aria-label"))
          found.push("svg without a name");
      for (const control of all("button, input, summary, [tabindex]")) {
        const name =
          control.getAttribute("aria-label") ??
          (control as HTMLInputElement).labels?.[0]?.textContent ??
          control.textContent;
        if (!name?.trim()) found.push(`${control.tagName} without a name`);
      }
      const ids = all("[id]").map(({ id }) => id);
      if (new Set(ids).size !== ids.length) found.push("an id occurs twice");
      for (const section of all("[aria-labelledby]"))
        if (!document.getElementById(section.getAttribute("aria-labelledby")!))
          found.push("labelled by nothing");
      if (!document.documentElement.lang) found.push("lang");
      return found;
    });
    expect(problems).toEqual([]);
  });

  test("labels of points do not cover each other, whatever the fonts", async () => {
    for (const width of [360, 1280]) {
      const { page } = await open(sample(16), { width });
      const covered = await page.evaluate(() => {
        const texts = [...document.querySelectorAll("#trade ~ figure .label text")].filter((text) =>
          text.checkVisibility(),
        );
        const boxes = texts.map((text) => ({ text: text.textContent, box: text.getBoundingClientRect() }));
        return boxes.flatMap(({ text, box: a }, i) =>
          boxes
            .slice(i + 1)
            .filter(
              ({ box: b }) =>
                a.left < b.right - 1 && b.left < a.right - 1 && a.top < b.bottom - 2 && b.top < a.bottom - 2,
            )
            .map(({ text: other }) => `${text} and ${other}`),
        );
      });
      expect(covered).toEqual([]);
    }
  });

  test("the commands can be copied, or are selected where that is not allowed", async () => {
    const data = sample(1);
    const { page } = await open(data);
    await page.getByRole("button", { name: "Copy" }).click();
    const button = page.locator("#copy");
    await expect.poll(() => button.textContent()).toMatch(/^(Copied|Selected)$/);
    if ((await button.textContent()) === "Selected")
      expect(await page.evaluate(() => getSelection()!.toString())).toBe(data.commands!.join("\n"));
  });

  test("prints", async () => {
    const { page } = await open(complete(), { scheme: "dark" });
    await page.emulateMedia({ media: "print" });
    expect(await page.evaluate(() => getComputedStyle(document.body).backgroundColor)).toBe(
      "rgb(255, 255, 255)",
    );
    expect(await page.locator("button:visible").count()).toBe(
      await page.locator("thead button:visible").count(),
    );
    expect((await page.pdf()).length).toBeGreaterThan(10_000);
  });
});
