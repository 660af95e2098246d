import { defineConfig } from "vitest/config";

export default defineConfig({
  test: {
    projects: ["packages/*", "apps/*", "tooling"],
    reporters: ["default"],
    // All cores: on two, vitest would leave one idle, and many tests wait for a process of their own.
    maxWorkers: "100%",
  },
});
