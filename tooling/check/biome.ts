import { command } from "./command.js";
import { root } from "./workspace.js";

/** Lint and format. Warnings count: a warning nobody must mend is one nobody reads. */
export async function biome(): Promise<string[]> {
  const { status, output } = await command("biome", [
    "check",
    ".",
    "--reporter=github",
    "--error-on-warnings",
    "--max-diagnostics=200",
  ]);
  if (status === 0) return [];
  const problems = [
    ...output.matchAll(/^::(?:error|warning) title=([^,]+),file=([^,]+),line=(\d+).*?::(.*)$/gm),
  ].map(([, rule, file, line, message]) =>
    rule === "format"
      ? `${file!.replace(root, "")} is not formatted: run pnpm format`
      : `${file!.replace(root, "")}:${line} ${rule}: ${message}`,
  );
  return problems.length > 0 ? problems : [output.trim()];
}
