import { defineConfig, type Options } from "tsup";

/** JavaScript by tsup; declarations come from TypeScript's own compiler (tsconfig.build.json). */
export const library = (
  entry: Record<string, string>,
  options: Options = {},
): ReturnType<typeof defineConfig> =>
  defineConfig({
    entry,
    format: ["esm"],
    target: "es2022",
    platform: "neutral",
    dts: false,
    sourcemap: true,
    clean: true,
    splitting: true,
    treeshake: true,
    silent: true,
    external: [/^node:/],
    ...options,
  });
