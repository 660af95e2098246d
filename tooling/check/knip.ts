import { command } from "./command.js";

/** Files, exports and dependencies that nothing uses; what counts as used is in knip.json. */
export async function knip(): Promise<string[]> {
  const { status, output } = await command("knip", ["--no-progress", "--no-config-hints"]);
  return status === 0 ? [] : output.trim().split("\n");
}
