import type { TestFunction } from "../src/index.js";

/** Runs a contract and answers with the laws that failed, each with its claim. */
export async function failures(contract: (test: TestFunction) => void): Promise<Map<string, string>> {
  const laws: [string, () => Promise<void>][] = [];
  contract((name, run) => laws.push([name, run]));
  const failed = new Map<string, string>();
  for (const [name, run] of laws)
    await run().catch((error: Error) => failed.set(name.slice(name.indexOf(": ") + 2), error.message));
  return failed;
}

/** The laws that a contract registers, without running one. */
export function lawsOf(contract: (test: TestFunction) => void): string[] {
  const names: string[] = [];
  contract((name) => names.push(name.slice(name.indexOf(": ") + 2)));
  return names;
}
