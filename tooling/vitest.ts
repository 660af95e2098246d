import { defineConfig } from "vitest/config";

/** The preset of every package: processes, not threads, so that native code can only take down its own. */
export const preset: ReturnType<typeof defineConfig> = defineConfig({
  test: {
    include: ["test/**/*.test.ts", "**/*.test.ts"],
    exclude: ["**/node_modules/**", "**/dist/**"],
    pool: "forks",
    testTimeout: 60_000,
    hookTimeout: 60_000,
  },
});
