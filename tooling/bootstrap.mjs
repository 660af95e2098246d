// What `npm start` and `npm test` run: no dependencies, so that Node and npm are all a fresh clone needs.
import { spawnSync } from "node:child_process";
import { existsSync, readFileSync, statSync } from "node:fs";
import { delimiter, join } from "node:path";
import { fileURLToPath } from "node:url";

const root = fileURLToPath(new URL("../", import.meta.url));
const [mode, ...rest] = process.argv.slice(2);

const run = (command, args, env = process.env) => {
  const result = spawnSync(command, args, {
    cwd: root,
    stdio: "inherit",
    env,
    shell: process.platform === "win32",
  });
  if (result.error) throw result.error;
  if (result.status !== 0) process.exit(result.status ?? 1);
};

const { packageManager } = JSON.parse(readFileSync(join(root, "package.json"), "utf8"));
const installed = join(root, "node_modules/.pnpm-workspace-state-v1.json");
if (!existsSync(installed) || statSync(installed).mtimeMs < statSync(join(root, "pnpm-lock.yaml")).mtimeMs)
  run("npx", ["-y", packageManager, "install", "--frozen-lockfile"]);

// From here on everything comes from node_modules: npx would ask the registry again each time.
const env = {
  ...process.env,
  PATH: join(root, "node_modules/.bin") + delimiter + process.env.PATH,
  TURBO_TELEMETRY_DISABLED: "1",
  DO_NOT_TRACK: "1",
};
run("turbo", ["run", "build", "--output-logs=errors-only"], env);
if (mode === "test") {
  run("tsx", ["tooling/check/main.ts"], env);
  run("vitest", ["run", ...rest], env);
} else {
  const args =
    rest.length > 0
      ? rest
      : ["quantize", "tooling/fixture/stories.gguf", "stories-Q4_K_M.gguf", "--type", "Q4_K_M", "--force"];
  run("node", ["apps/cli/dist/main.js", ...args], env);
}
