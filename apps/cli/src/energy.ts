import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";

/** Where Linux shows the processor's energy counters (RAPL, of Intel and AMD). */
const POWERCAP = "/sys/class/powercap";

/** A counter of energy; it starts again from 0 at its end. */
interface Counter {
  readonly file: string;
  /** Microjoules. */
  readonly range: number;
}

/** The energy that all processors of the machine, and their memory where it is counted, have used. */
export interface EnergyMeter {
  /** Joules since the last call, the counters' wrap taken into account; what other programs used is part of it. */
  lap(): number;
}

/** The meter, or why there is none. */
export type Energy = { readonly meter: EnergyMeter } | { readonly unavailable: string };

export function openEnergy(folder = POWERCAP): Energy {
  let counters: Counter[];
  try {
    counters = findCounters(folder);
  } catch (error) {
    return { unavailable: reasonOf(error) };
  }
  if (counters.length === 0) return { unavailable: ABSENT };
  let last: number[];
  try {
    last = counters.map(read);
  } catch (error) {
    return { unavailable: reasonOf(error) };
  }
  return {
    meter: {
      lap() {
        const now = counters.map(read);
        const microjoules = now.reduce((sum, value, i) => {
          const used = value - last[i]!;
          return sum + (used < 0 ? used + counters[i]!.range : used);
        }, 0);
        last = now;
        return microjoules / 1e6;
      },
    },
  };
}

const ABSENT = "this machine shows no energy counters (RAPL)";

function reasonOf(error: unknown): string {
  const { code } = error as NodeJS.ErrnoException;
  if (code === "EACCES" || code === "EPERM")
    return "the energy counters (RAPL) may only be read by the administrator: run as root, or allow reading energy_uj";
  return code === "ENOENT"
    ? ABSENT
    : `the energy counters (RAPL) cannot be read: ${(error as Error).message}`;
}

/**
 * Zones `intel-rapl:0`, `intel-rapl:1` … are processors (`package-0` …), and `intel-rapl:0:2` is a part of one, already
 * counted with it unless it is the memory. `psys`, where there is one, is all of them again.
 */
function findCounters(folder: string): Counter[] {
  return readdirSync(folder)
    .filter((zone) => /^intel-rapl:\d+(:\d+)?$/.test(zone))
    .filter((zone) => /^(package|dram)/.test(text(join(folder, zone, "name"))))
    .map((zone) => ({
      file: join(folder, zone, "energy_uj"),
      range: Number(text(join(folder, zone, "max_energy_range_uj"))),
    }));
}

const text = (file: string): string => readFileSync(file, "utf8").trim();

const read = ({ file }: Counter): number => Number(text(file));
