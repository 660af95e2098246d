/** Words and sentences by kind; `{kind}` in one of them stands for another, `{9-99}` for a number in that range. */
export type Bank = Readonly<Record<string, readonly string[]>>;

/** The same choices in every run: a linear congruential generator (Numerical Recipes, 3rd edition, section 7.1). */
export class Chooser {
  #state: number;

  constructor(seed: number) {
    this.#state = seed >>> 0;
  }

  /** A whole number from `least` to `most`. */
  number(least: number, most: number): number {
    this.#state = (Math.imul(this.#state, 1664525) + 1013904223) >>> 0;
    return least + Math.floor((this.#state / 2 ** 32) * (most - least + 1));
  }

  of<T>(list: readonly T[]): T {
    return list[this.number(0, list.length - 1)]!;
  }

  /** Some of a list, each at most once, in random order. */
  some<T>(list: readonly T[], count: number): T[] {
    const rest = [...list];
    return Array.from(
      { length: Math.min(count, rest.length) },
      () => rest.splice(this.number(0, rest.length - 1), 1)[0]!,
    );
  }

  /** A template with everything in braces filled in; a sentence begins with a capital. */
  fill(template: string, bank: Bank): string {
    return template.replace(/\{(\w[\w-]*)\}/g, (_, key: string) => {
      const [, least, most] = /^(\d+)-(\d+)$/.exec(key) ?? [];
      if (least !== undefined) return String(this.number(Number(least), Number(most)));
      const words = bank[key];
      if (words === undefined) throw new Error(`There is no kind of words called ${key}.`);
      return this.fill(this.of(words), bank);
    });
  }

  sentence(template: string, bank: Bank): string {
    const text = this.fill(template, bank);
    return text.slice(0, 1).toUpperCase() + text.slice(1);
  }
}
