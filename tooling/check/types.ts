import { command } from "./command.js";
import { exists, packages } from "./workspace.js";

/** Every package with its tests, against the built declarations of the others. */
export async function types(): Promise<string[]> {
  const folders = packages.map(({ folder }) => folder).concat("tooling/fixture");
  const problems: string[] = [];
  for (const folder of folders.filter((name) => exists(`${name}/tsconfig.json`))) {
    const { status, output } = await command("tsc", ["-p", ".", "--pretty", "false"], folder);
    if (status !== 0)
      problems.push(
        ...output
          .trim()
          .split("\n")
          .map((line) => `${folder}/${line}`),
      );
  }
  return problems;
}
