import { parseHTML } from "linkedom";
import { describe, expect, test } from "vitest";
import type { ReportData } from "../src/data.js";
import { renderReport } from "../src/page.js";
import { hostile, hostileReport, sample } from "./sample.js";

async function render(data: ReportData) {
  const text = await renderReport(data);
  const { document } = parseHTML(text);
  const shown = [...document.querySelectorAll("header, main, footer")];
  return { text, document, body: shown.map(({ textContent }) => textContent).join("\n") };
}
const headings = (document: Document): string[] =>
  [...document.querySelectorAll("h2")].map(({ textContent }) => textContent);

describe("what the page says", () => {
  test("the best trade, why, and what it costs", async () => {
    const { document, body } = await render(sample(8));
    const best = document.querySelector("#verdict")!.textContent;
    expect(best).toMatch(/^[\w]+ is the best trade$/);
    expect(body).toContain("The rule: of the candidates that no other beats");
    expect(document.querySelector(".lead")!.textContent).toMatch(
      /^\d\.\d\d GB instead of 16\.0 GB: \d+ % of the size\. What it costs: its mean KL divergence is [\d.]+ nats per token, it finds the same token most probable as the original [\d.]+ % of the time, and perplexity goes from 6\.200 to [\d.]+ \(\+[\d.]+ %\)\.$/,
    );
    expect(headings(document)).toEqual([
      best,
      "What size costs",
      "All figures",
      "How the divergence is spread",
      "To do it again",
    ]);
  });
  test("that a large tensor is pictured by a part of its weights", async () => {
    const { candidates, ...rest } = sample(1);
    const note = async (shape: readonly number[]): Promise<string[]> => {
      const original = { from: -1, to: 1, counts: [300, 400, 200], below: 60, above: 40 };
      const distributions = [
        {
          tensor: "t",
          shape,
          original,
          candidates: [{ file: candidates[0]!.file, dtype: "Q4_K", decoded: original }],
        },
      ];
      const { document } = await render({ ...rest, candidates, distributions });
      const section = document.querySelector('section[aria-labelledby="weights"]')!;
      return [...section.querySelectorAll(".note")].map(({ textContent }) => textContent);
    };
    const outside = "10.00 % of the weights lie outside of the picture, below −1.0 or above 1.0.";
    expect(await note([4, 1000])).toEqual([
      "Counted in 1.00 k of the 4.00 k weights, from all over the tensor.",
      outside,
    ]);
    expect(await note([4, 250])).toEqual([outside]);
  });
  test("the table has every candidate and its figures", async () => {
    const data = sample(8);
    const { document } = await render(data);
    const rows = [...document.querySelectorAll("#candidates tbody.rows tr")];
    expect(rows).toHaveLength(8);
    for (const [i, row] of rows.entries()) {
      const cells = [...row.querySelectorAll("td")].map((cell) => cell.getAttribute("data-value"));
      const { bytes, bitsPerWeight, kld } = data.candidates[i]!;
      expect(cells.slice(0, 4)).toEqual([bytes, bitsPerWeight, kld!.mean, kld!.p999].map(String));
      expect(row.textContent).toContain(data.candidates[i]!.file);
    }
  });
  test("the island has every tensor's figures", async () => {
    const data = sample(2, 3);
    const { document } = await render(data);
    const { names, candidates } = JSON.parse(document.querySelector("#data")!.textContent);
    expect(names).toEqual(data.candidates[0]!.tensors!.map(({ name }) => name));
    for (const [i, { rows }] of candidates.entries())
      for (const [j, [name, , , sqnr]] of rows.entries()) {
        const tensor = data.candidates[i]!.tensors![j]!;
        expect(names[name]).toBe(tensor.name);
        if (tensor.sqnr === Number.POSITIVE_INFINITY) expect(sqnr).toBe("Infinity");
        else expect(sqnr).toBeCloseTo(tensor.sqnr, 2);
      }
  });
  test("every cell of a map is its tensor's", async () => {
    const data = sample(2, 3);
    const { document } = await render(data);
    const maps = [...document.querySelectorAll(".map")];
    expect(maps).toHaveLength(2);
    for (const map of maps) {
      const numbers = [...map.querySelectorAll("rect[data-i]")].map((cell) =>
        Number(cell.getAttribute("data-i")),
      );
      // 3 layers of 7 roles, embeddings and output; norms are exact and not drawn.
      expect(numbers).toHaveLength(23);
      expect(new Set(numbers).size).toBe(23);
    }
  });
  test("the same data gives the same bytes", async () => {
    expect(await renderReport(sample(6, 4))).toBe(await renderReport(sample(6, 4)));
  });
});

describe("partial data", () => {
  const [one] = sample(1).candidates;
  const base = sample(1);
  test("one candidate is described, not compared", async () => {
    const { document, body } = await render(base);
    expect(document.querySelector("#verdict")!.textContent).toBe("Q8_0 takes 53 % of the space");
    expect(headings(document)).not.toContain("What size costs");
    expect(body).not.toContain("best trade");
  });
  test("none", async () => {
    const { body } = await render({ ...base, candidates: [] });
    expect(body).toContain("There are no candidates to compare");
  });
  test("sizes alone", async () => {
    const candidates = sample(3).candidates.map(({ name, file, bytes }) => ({ name, file, bytes }));
    const { body, document } = await render({
      reference: { name: "m", file: "m.gguf", bytes: 16e9 },
      candidates,
    });
    expect(body).toContain("Only sizes are known");
    expect(headings(document)).toEqual(["No candidate stands out", "All figures"]);
  });
  test("an exact copy", async () => {
    const { document, body } = await render({
      ...base,
      candidates: [{ ...one!, kld: { mean: 0, error: 0, max: 0, median: 0 } }],
    });
    expect(document.querySelector("#verdict")!.textContent).toBe("Q8_0 loses nothing");
    expect(body).not.toContain("NaN");
  });
  test("all tensors exact", async () => {
    const tensors = sample(1, 2).candidates[0]!.tensors!.map((tensor) => ({
      ...tensor,
      sqnr: Number.POSITIVE_INFINITY,
    }));
    const { body } = await render({ ...base, candidates: [{ ...one!, tensors }] });
    expect(body).toContain("Every tensor is exactly that of the original.");
  });
  test("figures that are no number stay out of charts and are named", async () => {
    const data = sample(4, 2);
    const nan = Number.NaN;
    const broken = {
      ...data.candidates[0]!,
      kld: { mean: nan, error: nan, p999: nan },
      perplexity: { value: nan, error: nan },
      sameTop: { value: nan },
      tensors: data.candidates[0]!.tensors!.map((tensor, i) =>
        i === 0 ? { ...tensor, sqnr: nan, rmse: nan } : tensor,
      ),
    };
    const { document, body } = await render({ ...data, candidates: [broken, ...data.candidates.slice(1)] });
    expect(body).toContain("Not compared, for want of a divergence that is a number: Q8_0.");
    expect(document.querySelectorAll(".wide")[0]!.textContent).not.toContain("Q8_0");
    for (const drawn of document.querySelectorAll("svg.plot")) expect(drawn.outerHTML).not.toContain("NaN");
  });
  test("infinite and extreme figures", async () => {
    const data = sample(3);
    const extreme = [Number.POSITIVE_INFINITY, 1e-30, 1e30].map((mean, i) => ({
      ...data.candidates[i]!,
      kld: { mean, error: mean, max: mean, p999: mean },
      deltaP: { mean, rms: mean },
    }));
    const { document } = await render({ ...data, candidates: extreme });
    for (const drawn of document.querySelectorAll("svg.plot"))
      expect(drawn.outerHTML).not.toMatch(/NaN|Infinity/);
  });
  test("a hundred candidates", async () => {
    const { document } = await render(sample(100));
    expect(document.querySelectorAll("#candidates tbody.rows tr")).toHaveLength(100);
    expect(document.querySelector("#ladder")!.parentElement!.textContent).toContain(
      "The chart shows the 40 largest",
    );
  });
});

describe("a hostile name", () => {
  test.each(Object.entries(hostile))("%s", async (_, name) => {
    const { text, document } = await render(hostileReport(name));
    const { document: plain } = await render(hostileReport("plain"));
    // The same elements and attributes as with a plain name: nothing of it has become markup.
    const outline = (page: Document): string[] =>
      [...page.querySelectorAll("*")].map(
        (element) => `${element.localName} ${[...element.attributes].map(({ name }) => name).sort()}`,
      );
    const scripts = (page: Document): number => page.querySelectorAll("script").length;
    expect(scripts(document)).toBe(scripts(plain));
    expect(new Set(outline(document))).toEqual(new Set(outline(plain)));
    expect(text).not.toMatch(/[\u202a-\u202e\u2066-\u2069\u200e\u200f\u2028\u0000]/);
    expect(document.querySelector("h1")!.textContent).not.toBe("");
    expect(document.title).toContain([...name][0]!);
  });
});

test("a large model makes a small page", async () => {
  const text = await renderReport(sample(6, 43));
  const tensors = sample(1, 43).candidates[0]!.tensors!.filter(({ name }) => !name.includes("norm"));
  expect(tensors.length).toBeGreaterThan(300);
  expect(text.length).toBeLessThan(500_000);
});
