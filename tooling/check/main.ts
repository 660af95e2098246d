// pnpm check: everything about the code that is not a test. One line per check with its time, every problem listed.
import { api } from "./api.js";
import { biome } from "./biome.js";
import { cycles } from "./cycles.js";
import { docstrings } from "./docstrings.js";
import { floors } from "./floors.js";
import { knip } from "./knip.js";
import { manifests } from "./manifests.js";
import { schemeIds } from "./scheme-ids.js";
import { tarballs } from "./tarballs.js";
import { types } from "./types.js";

type Check = () => string[] | Promise<string[]>;

const checks: Readonly<Record<string, Check>> = {
  "lint and format (biome)": biome,
  floors,
  "import cycles": cycles,
  "package.json": manifests,
  "scheme ids in shared code": schemeIds,
  docstrings,
  "public names (api.txt)": api,
  "types (tsc)": types,
  "unused code (knip)": knip,
  "packed packages (publint, attw)": tarballs,
};

/** Two at a time: most are processes of their own, and machines have two cores. */
const PARALLEL = 2;

const started = performance.now();
const seconds = (since: number): string => `${((performance.now() - since) / 1000).toFixed(1)} s`;
const queue = Object.entries(checks);
let failed = 0;

async function work(): Promise<void> {
  for (let next = queue.shift(); next !== undefined; next = queue.shift()) {
    const [name, check] = next;
    const since = performance.now();
    let problems: string[];
    try {
      problems = await check();
    } catch (thrown) {
      problems = [thrown instanceof Error ? (thrown.stack ?? thrown.message) : String(thrown)];
    }
    console.log(`${problems.length === 0 ? "ok  " : "FAIL"} ${name} (${seconds(since)})`);
    for (const problem of problems) console.log(`     ${problem}`);
    if (problems.length > 0) failed++;
  }
}

await Promise.all(Array.from({ length: PARALLEL }, work));
console.log(
  failed === 0
    ? `all good (${seconds(started)})`
    : `${failed} of ${Object.keys(checks).length} checks failed (${seconds(started)})`,
);
process.exitCode = failed === 0 ? 0 : 1;
