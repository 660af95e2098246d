import { existsSync, readFileSync } from "node:fs";

/**
 * Bytes of memory this process held at most. On Linux from /proc: the operating system's other answer, `maxRSS`, starts
 * with what the parent process held.
 */
export function peakMemory(): number {
  if (!existsSync("/proc/self/status")) return process.resourceUsage().maxRSS * 1024;
  return Number(/VmHWM:\s*(\d+)/.exec(readFileSync("/proc/self/status", "utf8"))![1]) * 1024;
}

/** For `node --import`: a program that knows nothing of it writes its peak to file descriptor 3 when it ends. */
export const peakMemoryHook = `data:text/javascript,${encodeURIComponent(`
import { existsSync, readFileSync, writeSync } from "node:fs";
import { isMainThread } from "node:worker_threads";
if (isMainThread)
  process.on("exit", () => {
    const peak = existsSync("/proc/self/status")
      ? /VmHWM:\\s*(\\d+)/.exec(readFileSync("/proc/self/status", "utf8"))[1] * 1024
      : process.resourceUsage().maxRSS * 1024;
    writeSync(3, String(peak));
  });
`)}`;
