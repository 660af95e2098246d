import type { Bank, Chooser } from "./template.js";

const bank: Bank = {
  good: ["apples", "nails", "candles", "rice", "paper", "bolts", "lemons", "cement", "tea", "rope", "bricks", "soap"],
  unit: ["kg", "boxes", "litres", "pieces", "m", "bags"],
  city: ["Lisbon", "Oslo", "Nairobi", "Lima", "Hanoi", "Quebec", "Tbilisi", "Perth", "Cork", "Izmir", "Pune", "Turin"],
  month: ["January", "March", "April", "June", "July", "September", "October", "December"],
  step: [
    "Wash the {good} and let them dry.", "Write down the number on the label.", "Close the valve before you begin.",
    "Mix everything with {2-9} {unit} of water.", "Wait for {5-90} minutes.", "Check the result a second time.",
    "Remove the cover, but keep the screws.", "Save your work and restart.", "Ask somebody to hold the ladder.",
  ],
}; // biome-ignore format: lists of words

const lines = (count: number, line: (i: number) => string): string =>
  Array.from({ length: count }, (_, i) => line(i)).join("\n");

/** Lists, tables, dates and sums that are right. */
const kinds: readonly ((chooser: Chooser) => string)[] = [
  (chooser) =>
    `How to do it, step by step:\n\n${lines(chooser.number(4, 7), (i) => `${i + 1}. ${chooser.fill("{step}", bank)}`)}`,
  (chooser) =>
    `Still needed for ${chooser.of(bank.city!)}:\n${lines(chooser.number(4, 8), () => chooser.fill("- {good}: {2-90} {unit}", bank))}`,
  (chooser) => {
    const rows = chooser.some(bank.good!, 6).map((good) => {
      const [count, price] = [chooser.number(2, 40), chooser.number(1, 99)];
      return `| ${good} | ${count} | ${price}.50 | ${(count * (price + 0.5)).toFixed(2)} |`;
    });
    return `| item | count | price | total |\n| --- | ---: | ---: | ---: |\n${rows.join("\n")}`;
  },
  (chooser) =>
    `date,city,temperature,rain\n${lines(8, () =>
      [
        `20${chooser.number(10, 26)}-${String(chooser.number(1, 12)).padStart(2, "0")}-${String(chooser.number(1, 28)).padStart(2, "0")}`,
        chooser.of(bank.city!),
        (chooser.number(-150, 380) / 10).toFixed(1),
        chooser.number(0, 60),
      ].join(","),
    )}`,
  (chooser) =>
    lines(8, () => {
      const [a, b] = [chooser.number(2, 999), chooser.number(2, 99)];
      return chooser.of([
        `${a} + ${b} = ${a + b}`,
        `${a} × ${b} = ${a * b}`,
        `${a * b} ÷ ${b} = ${a}`,
        `${a} - ${b} = ${a - b}`,
        `${b}² = ${b * b}`,
        `${a}% of ${b * 100} is ${a * b}`,
        `${a} = ${a.toString(2)} in binary and ${a.toString(16)} in hexadecimal`,
      ]);
    }),
  (chooser) => {
    const [a, x, b] = [chooser.number(2, 12), chooser.number(2, 30), chooser.number(1, 60)];
    return `Solve $${a}x + ${b} = ${a * x + b}$.\nSubtract ${b} on both sides: $${a}x = ${a * x}$. Divide by ${a}: $x = ${x}$. Check: $${a} \\cdot ${x} + ${b} = ${a * x + b}$.`;
  },
  (chooser) =>
    chooser.fill(
      "The meeting of {1-28} {month} 20{10-26} in {city} began at {8-11}:{10-59}. Present were {5-40} members; {1-4} had sent apologies. The budget of €{10-99},{100-999}.00 was approved, and the next meeting will be in {city} on {1-28} {month}.",
      bank,
    ),
  (chooser) => {
    const [hours, speed] = [chooser.number(2, 9), chooser.number(30, 120)];
    return `A train travels for ${hours} hours at ${speed} km/h. How far does it get? Distance is speed times time: ${speed} km/h × ${hours} h = ${speed * hours} km. In miles that is about ${Math.round((speed * hours) / 1.609)}.`;
  },
];

export const facts = (chooser: Chooser): string => chooser.of(kinds)(chooser);
