import { expect, test } from "vitest";
import { ProgressLine } from "../src/progress.js";

function record(stream: { isTTY?: boolean; columns?: number }, options: { quiet?: boolean } = {}) {
  const written: string[] = [];
  let time = 0;
  const progress = new ProgressLine(
    { ...stream, write: (text: string) => written.push(text) },
    { now: () => time, ...options },
  );
  return {
    written,
    progress,
    at: (milliseconds: number, done: number, tensor = "blk.0.ffn_up.weight") => {
      time = milliseconds;
      progress.update({ tensor, weights: done, totalWeights: 1000, read: done * 2, written: 0, zeroed: 0 });
    },
  };
}

test("a terminal gets one line that redraws itself, with rate and time left", () => {
  const { written, at, progress } = record({ isTTY: true, columns: 120 });
  at(0, 0);
  at(50, 40); // Too soon.
  at(1000, 250);
  expect(written).toHaveLength(1);
  expect(written[0]).toBe(
    "\r[======                  ] 25%  250 weights/s  500 B/s  3.00 s left  blk.0.ffn_up.weight\x1b[K",
  );
  progress.clear();
  expect(written.at(-1)).toBe("\r\x1b[K");
});

test("the bar never wraps, however narrow the terminal", () => {
  for (const columns of [1, 20, 40, 60, 80]) {
    const { written, at } = record({ isTTY: true, columns });
    at(1000, 500, "x".repeat(200));
    expect(written[0]!.replace("\r", "").replace("\x1b[K", "").length).toBeLessThan(columns);
  }
});

test("a tensor's name cannot move the cursor", () => {
  const { written, at } = record({ isTTY: true, columns: 200 });
  at(1000, 500, "a\x1b[2J\nb");
  expect(written[0]).toContain("a\\x1b[2J\\x0ab");
});

test("a log gets whole lines, at most one in five seconds", () => {
  const { written, at } = record({});
  for (let time = 0; time <= 11_000; time += 100) at(time, time / 100);
  expect(written).toHaveLength(2);
  expect(written[0]).toBe("5%  10 weights/s  20 B/s  1 min 35 s left  blk.0.ffn_up.weight\n");
});

test("an estimate waits until it means something", () => {
  const { written, at } = record({ isTTY: true, columns: 120 });
  at(200, 1);
  expect(written[0]).toContain("time left unknown");
});

test("quiet prints nothing", () => {
  const { written, at, progress } = record({ isTTY: true }, { quiet: true });
  at(10_000, 500);
  progress.clear();
  expect(written).toEqual([]);
});

test("the rate follows a change of speed", () => {
  const { written, at } = record({ isTTY: true, columns: 200 });
  for (let second = 1; second <= 10; second++) at(second * 1000, second * 10);
  for (let second = 11; second <= 20; second++) at(second * 1000, 100 + (second - 10) * 50);
  expect(written.at(-1)).toContain(" 50 weights/s");
});

test("work is counted in whatever it has", () => {
  const written: string[] = [];
  let time = 0;
  const stream = { isTTY: true, columns: 100, write: (text: string) => written.push(text) };
  const progress = new ProgressLine(stream, { now: () => time });
  time = 1000;
  progress.show({ done: 512, total: 2048, unit: "tokens", label: "model.gguf, KLD 0.001" });
  expect(written).toEqual([
    "\r[======                  ] 25%  512 tokens/s  3.00 s left  model.gguf, KLD 0.001\x1b[K",
  ]);
});
