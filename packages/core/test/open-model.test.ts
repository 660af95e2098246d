import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeEach, expect, test } from "vitest";
import { createRegistry, type FormatReader, isFewbitError, memorySource, nameOf } from "../src/index.js";
import { openCheckpoint, openModel } from "../src/open-model.js";

const folder = mkdtempSync(join(tmpdir(), "fewbit-open-"));
afterAll(() => rmSync(folder, { recursive: true }));

/** A format whose file is a list of the files beside it. */
const lists: FormatReader = {
  id: "list",
  extensions: [".list"],
  folderFiles: ["all.list", "one.list"],
  sniff: (_, name) => name.endsWith(".list"),
  async open(source, sibling) {
    const bytes = new Uint8Array(source.size);
    await source.read(0, bytes);
    const names = new TextDecoder().decode(bytes).split("\n").filter(Boolean);
    const files = [];
    for (const name of names) files.push((await sibling(name)).at);
    return { format: "list", metadata: [], tensors: [], files: [source.at, ...files], warnings: [] };
  },
};
const registry = createRegistry([
  { api: 1, name: "lists", version: "1.0.0", module: import.meta.url, readers: [lists] },
]);

let home: string;
let count = 0;
beforeEach(() => {
  home = join(folder, String(count++));
  mkdirSync(home);
});
const put = (name: string, content = "") => writeFileSync(join(home, name), content);
const opened = async (path: string): Promise<string[]> =>
  (await openModel(path, registry)).files.map((at) => nameOf(at).slice(home.length + 1));
async function refusal(path: string) {
  const outcome = await openModel(path, registry).catch((error: unknown) => error);
  if (!isFewbitError(outcome)) throw new Error(`not refused: ${String(outcome)}`);
  return outcome;
}

test("a folder is the best of the files that stand for it", async () => {
  put("one.list");
  expect(await opened(home)).toEqual(["one.list"]);
  put("all.list", "a\nb");
  put("a");
  put("b");
  expect(await opened(home)).toEqual(["all.list", "a", "b"]);
  expect(await opened(`${home}/`)).toHaveLength(3);
});

test("a folder without such a file is refused by what it lacks", async () => {
  put("other.list");
  expect(await refusal(home)).toMatchObject({
    code: "E_IO",
    message: "it is a folder without all.list or one.list",
    at: { file: home },
  });
  const error = await openModel(home, createRegistry([])).catch((thrown: unknown) => thrown);
  expect(error).toMatchObject({ code: "E_IO", message: "it is a folder" });
});

test("links within the folder are followed, links out of it refused", async () => {
  put("all.list", "linked");
  put("real");
  symlinkSync("real", join(home, "linked"));
  expect(await opened(home)).toEqual(["all.list", "linked"]);

  writeFileSync(join(folder, "secret"), "");
  put("one.list", "out");
  symlinkSync("../secret", join(home, "out"));
  const error = await refusal(join(home, "one.list"));
  expect(error).toMatchObject({ code: "E_LINK", at: { file: join(home, "out") } });
  expect(error.message).toMatch(/^out is a link that leads out of the model's folder, to .*secret$/);
  expect(error.remedy).toContain("copy that file into the folder");
});

test("nor may the file that stands for a folder lead out of it; a file that is named may", async () => {
  writeFileSync(join(folder, "far.list"), "");
  symlinkSync("../far.list", join(home, "all.list"));
  expect((await refusal(home)).code).toBe("E_LINK");
  expect(await opened(join(home, "all.list"))).toEqual(["all.list"]);
});

test("the layout of Hugging Face's cache is followed, from its revision only into its blobs", async () => {
  const revision = join(home, "snapshots", "0123abc");
  mkdirSync(revision, { recursive: true });
  mkdirSync(join(home, "blobs"));
  put("blobs/aa", "shard");
  put("blobs/bb");
  symlinkSync("../../blobs/aa", join(revision, "all.list"));
  symlinkSync("../../blobs/bb", join(revision, "shard"));
  expect(await opened(revision)).toEqual(["snapshots/0123abc/all.list", "snapshots/0123abc/shard"]);

  put("refs");
  rmSync(join(revision, "shard"));
  symlinkSync("../../refs", join(revision, "shard"));
  expect((await refusal(revision)).code).toBe("E_LINK");
});

test("a folder that is a link itself is at home where it leads", async () => {
  mkdirSync(join(home, "real"));
  put("real/all.list", "a");
  put("real/a");
  symlinkSync("real", join(home, "model"));
  expect(await opened(join(home, "model"))).toEqual(["model/all.list", "model/a"]);
});

test("a loop of links is an error, not a hang", async () => {
  put("all.list", "loop");
  symlinkSync("loop", join(home, "loop"));
  expect(await refusal(home)).toMatchObject({ code: "E_IO", message: expect.stringContaining("ELOOP") });
});

test("a file is called what it is called", async () => {
  put("what?#1.list", "");
  expect(await opened(join(home, "what?#1.list"))).toEqual(["what?#1.list"]);
});

test("siblings are bare names", async () => {
  for (const name of ["..", "a/b", "a\\b", "."]) {
    put("all.list", name);
    expect((await refusal(home)).message).toBe(`"${name}" is not the name of a file beside it`);
  }
});

test("an address of a resolver's kind is opened by it, with all that is needed to choose a file", async () => {
  const files: Record<string, string> = { "all.list": "more\n", more: "" };
  const asked: unknown[] = [];
  const closed: string[] = [];
  const source = (name: string) => {
    const made = memorySource(new TextEncoder().encode(files[name]), `far:${name}`);
    return { ...made, close: async () => void closed.push(name) };
  };
  const far = createRegistry([
    {
      api: 1,
      name: "far",
      version: "1.0.0",
      module: import.meta.url,
      readers: [lists],
      resolvers: [
        {
          id: "far",
          matches: (address) => address.startsWith("far:"),
          async open(address, wanted) {
            asked.push(address, wanted);
            return {
              source: source("all.list"),
              sibling: async (name) => source(name),
              list: async () => Object.keys(files),
            };
          },
        },
      ],
    },
  ]);
  const model = await openModel("far:away", far);
  expect(model.files.map(nameOf)).toEqual(["far:all.list", "far:more"]);
  expect(asked).toEqual(["far:away", { folderFiles: ["all.list", "one.list"], extensions: [".list"] }]);
  expect(closed.sort()).toEqual(["all.list", "more"]);
});

test("addresses of a kind that nothing opens", async () => {
  expect(await refusal("s3://bucket/model.list")).toMatchObject({
    code: "E_IO",
    message: "no registered plugin opens s3:// addresses",
    at: { file: "s3://bucket/model.list" },
    remedy: "Give a path or an http(s) address, or name the plugin that opens these with --plugin.",
  });
});

test("the files beside a model are read by their names", async () => {
  put("one.list");
  put("settings.json", "{}");
  for (const given of [home, join(home, "one.list")]) {
    const { folder: beside } = await openCheckpoint(given, registry);
    expect(beside.name).toBe(home.slice(folder.length + 1));
    expect(beside.path("settings.json")).toBe(join(home, "settings.json"));
    expect(new TextDecoder().decode(await beside.read("settings.json"))).toBe("{}");
    expect(await beside.read("other.json")).toBeUndefined();
  }
});

test("a file beside a model that is a link to elsewhere is refused", async () => {
  put("one.list");
  writeFileSync(join(folder, "secret"), "x");
  symlinkSync("../secret", join(home, "tokenizer.json"));
  const { folder: beside } = await openCheckpoint(home, registry);
  await expect(beside.read("tokenizer.json")).rejects.toMatchObject({ code: "E_LINK" });
});
