// Runs the code blocks of a page, in order, in one temporary folder: what the reader sees is what ran.
//   ```sh                     a command; it must succeed
//   ```ts [name.ts]           a file is written (also js, mjs, json); a later block must mention it
//   ```ts                     without a name it is run (also js)
//   ```text                   exactly what the previous command printed, on either stream;
//                             … stands for anything within a line, a line of only … for any lines
//   ```lang no-run: reason    the only way out, and it must say why
import { spawnSync } from "node:child_process";
import {
  constants,
  copyFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { delimiter, dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const root = fileURLToPath(new URL("../", import.meta.url));

/** Every page whose blocks are run, relative to the root. */
export const pages: readonly string[] = [
  "README.md",
  "CONTRIBUTING.md",
  ...["packages", "apps"].flatMap((parent) =>
    readdirSync(join(root, parent)).map((name) => `${parent}/${name}/README.md`),
  ),
  ...(existsSync(join(root, "docs")) ? readdirSync(join(root, "docs")) : [])
    .filter((name) => name.endsWith(".md"))
    .map((name) => `docs/${name}`),
].filter((page) => existsSync(join(root, page)));

export const readPage = (page: string): string => readFileSync(join(root, page), "utf8");

interface Block {
  /** Of its first fence, from 1. */
  readonly line: number;
  readonly language: string;
  /** What follows the language. */
  readonly rest: string;
  readonly body: string;
}

/** @throws Error for a fence that is indented or not closed */
export function blocksOf(markdown: string): Block[] {
  const blocks: Block[] = [];
  let open: { line: number; info: string; body: string[] } | undefined;
  for (const [i, line] of markdown.split("\n").entries()) {
    const fence = /^(\s*)(?:```+|~~~+)(.*)$/.exec(line);
    if (fence === null) open?.body.push(line);
    else if (fence[1] !== "" || !line.startsWith("```") || line.startsWith("````"))
      throw new Error(`line ${i + 1}: a block must begin and end with \`\`\` at the start of a line`);
    else if (open === undefined) open = { line: i + 1, info: fence[2]!.trim(), body: [] };
    else if (fence[2]!.trim() !== "")
      throw new Error(`line ${i + 1}: the block of line ${open.line} is not closed`);
    else {
      const [language = ""] = open.info.split(" ", 1);
      const rest = open.info.slice(language.length).trim();
      blocks.push({ line: open.line, language, rest, body: open.body.map((l) => `${l}\n`).join("") });
      open = undefined;
    }
  }
  if (open !== undefined) throw new Error(`line ${open.line}: the block is not closed`);
  return blocks;
}

/** Runs the blocks of a page; answers how many were run or written. @throws Error naming the line of the block that fails */
export function runPage(markdown: string): number {
  const blocks = blocksOf(markdown);
  const folder = prepare();
  try {
    let printed: string | undefined;
    let ran = 0;
    for (const [i, block] of blocks.entries()) {
      const { line, language, rest, body } = block;
      const fail = (why: string): never => {
        throw new Error(`line ${line}: ${why}`);
      };
      const noRun = /^no-run:(.*)$/.exec(rest);
      if (noRun) {
        if (noRun[1]!.trim() === "") fail("say why this block is not run");
        continue;
      }
      if (rest !== "" && !/^\[[^\]]+\]$/.test(rest))
        fail(`what does "${rest}" mean? Write [a name] or no-run: a reason`);
      const name = rest.slice(1, -1);
      ran++;
      if (language === "text" && name === "") {
        if (printed === undefined) throw new Error(`line ${line}: nothing has printed this`);
        if (!matches(body, printed))
          fail(`the output differs.\n--- the page says\n${body}--- the command printed\n${printed}`);
      } else if (["ts", "js", "mjs", "json"].includes(language) && name !== "") {
        if (!/^[\w.-]+(\/[\w.-]+)*$/.test(name) || name.includes(".."))
          fail(`${name} is not the name of a file here`);
        if (!blocks.slice(i + 1).some((later) => later.body.includes(name)))
          fail(`${name} is written and never used`);
        mkdirSync(dirname(join(folder, name)), { recursive: true });
        writeFileSync(join(folder, name), body);
      } else if (["ts", "js"].includes(language)) {
        const file = `block-${line}.${language}`;
        writeFileSync(join(folder, file), body);
        printed = execute(language === "ts" ? `tsx ${file}` : `node ${file}`, folder, fail);
      } else if (language === "sh" && name === "") printed = execute(body, folder, fail);
      else fail(`a block of "${language}" is neither run nor excused`);
    }
    return ran;
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/** A project in which the packages of this workspace are installed, and the model and text of the examples lie. */
function prepare(): string {
  const folder = mkdtempSync(join(tmpdir(), "fewbit-docs-"));
  const modules = join(folder, "node_modules");
  mkdirSync(join(modules, "@fewbit"), { recursive: true });
  mkdirSync(join(modules, ".bin"));
  for (const name of readdirSync(join(root, "packages")))
    symlinkSync(join(root, "packages", name), join(modules, "@fewbit", name));
  symlinkSync(join(root, "apps/cli"), join(modules, "fewbit"));
  symlinkSync(join(root, "apps/cli/dist/main.js"), join(modules, ".bin/fewbit"));
  for (const tool of ["tsx", "vitest"]) {
    symlinkSync(join(root, "node_modules", tool), join(modules, tool));
    symlinkSync(join(root, "node_modules/.bin", tool), join(modules, ".bin", tool));
  }
  writeFileSync(join(folder, "package.json"), '{ "private": true, "type": "module" }\n');
  for (const name of ["stories.gguf", "tales.txt"])
    copyFileSync(join(root, "tooling/fixture", name), join(folder, name), constants.COPYFILE_FICLONE);
  return folder;
}

/** The reader's shell, not the test's: a nested `node --test` would otherwise skip everything. */
function execute(script: string, folder: string, fail: (why: string) => never): string {
  const { status, signal, stdout } = spawnSync("bash", ["-euo", "pipefail", "-c", `exec 2>&1\n${script}`], {
    cwd: folder,
    encoding: "utf8",
    timeout: 100_000,
    env: {
      PATH: [
        join(folder, "node_modules/.bin"),
        dirname(process.execPath),
        "/usr/local/bin",
        "/usr/bin",
        "/bin",
      ].join(delimiter),
      HOME: folder,
      LANG: "C.UTF-8",
      npm_config_offline: "true", // a page that installs must say no-run
      npm_config_update_notifier: "false",
    },
  });
  if (status !== 0) fail(`it ended with ${signal ?? `status ${status}`}.\n--- it printed\n${stdout}`);
  return stdout;
}

/** Exactly, but for … and for blank lines around. */
export function matches(expected: string, printed: string): boolean {
  const lines = (text: string) =>
    text
      .split("\n")
      .map((line) => line.trimEnd())
      .join("\n")
      .replace(/^\n+|\n+$/g, "")
      .split("\n");
  const pattern = lines(expected)
    .map((line) =>
      line === "…"
        ? "(?:.*\\n)*"
        : `${line
            .split("…")
            .map((piece) => piece.replace(/[.*+?^${}()|[\]\\]/g, "\\$&"))
            .join(".*")}\\n`,
    )
    .join("");
  return new RegExp(`^${pattern}$`).test(`${lines(printed).join("\n")}\n`);
}
