import {
  existsSync,
  linkSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type FewbitError, isFewbitError } from "@fewbit/core";
import { afterAll, beforeEach, describe, expect, test } from "vitest";
import { COMMIT, cutAfter, noise, TOKEN, testHub } from "../../../tooling/hub.js";
import {
  type Access,
  type DownloadedFile,
  type DownloadOptions,
  type DownloadProgress,
  download,
  planDownload,
} from "../src/index.js";

const hub = testHub();
const root = mkdtempSync(join(tmpdir(), "fewbit-hub-"));
afterAll(() => rmSync(root, { recursive: true, force: true }));
let folder = root;
let count = 0;
beforeEach(() => {
  folder = join(root, String(count++));
});

const bytes = noise(200_000);
const large = { large: true };
const access: Access = { endpoint: "", patience: { tries: 3, delay: 1 } };
type Asking = Partial<Parameters<typeof planDownload>[0]>;

const planned = (asking: Asking = {}) =>
  planDownload({ address: "hf://org/model", access: { ...access, endpoint: hub.endpoint }, ...asking });

async function fetched(
  asking: Asking = {},
  options: DownloadOptions = {},
  seen: DownloadProgress[] = [],
): Promise<readonly DownloadedFile[]> {
  const run = download(await planned(asking), folder, options);
  for (;;) {
    const step = await run.next();
    if (step.done) return step.value;
    seen.push(step.value);
  }
}

async function refusal(work: Promise<unknown>): Promise<FewbitError> {
  const thrown = await work.then(
    () => undefined,
    (error: unknown) => error,
  );
  if (!isFewbitError(thrown)) throw thrown ?? new Error("nothing was refused");
  expect(JSON.stringify([thrown.message, thrown.at, thrown.remedy, thrown.stack])).not.toContain(TOKEN);
  return thrown;
}

const tree = (): string[] =>
  existsSync(folder)
    ? readdirSync(folder, { recursive: true, withFileTypes: true })
        .filter((entry) => !entry.isDirectory())
        .map((entry) => join(entry.parentPath, entry.name).slice(folder.length + 1))
        .sort()
    : [];
const content = (name: string): Uint8Array => new Uint8Array(readFileSync(join(folder, name)));
const partial = (): string => tree().find((name) => name.endsWith(".partial"))!;
/** Where a file of the repository lies until it is complete. */
async function partialOf(path: string): Promise<string> {
  const file = (await planned()).files.find((file) => file.path === path)!;
  return join(folder, `${path}.${file.checksum.value.slice(0, 12)}.partial`);
}

describe("what is chosen", () => {
  const names = async (asking: Asking = {}): Promise<string[]> =>
    (await planned(asking)).files.map(({ path }) => path);
  const put = (...paths: string[]): void => {
    for (const path of paths) hub.put(path, path, /\.(json|md|txt)$/.test(path) ? {} : large);
  };

  test("weights once, in safetensors, with all that belongs to them", async () => {
    put("README.md", "LICENSE", "config.json", "tokenizer.json", "tokenizer.model", "merges.txt");
    put("chat_template.jinja", "1_Pooling/config.json", ".gitattributes");
    put(
      "model.safetensors.index.json",
      "model-00001-of-00002.safetensors",
      "model-00002-of-00002.safetensors",
    );
    put("consolidated.safetensors", "pytorch_model.bin", "model.gguf", "onnx/model.onnx", "tf_model.h5");
    expect(await names()).toEqual([
      "README.md",
      "LICENSE",
      "config.json",
      "tokenizer.json",
      "tokenizer.model",
      "merges.txt",
      "chat_template.jinja",
      "1_Pooling/config.json",
      "model.safetensors.index.json",
      "model-00001-of-00002.safetensors",
      "model-00002-of-00002.safetensors",
    ]);
    expect(await names({ exclude: ["*.safetensors", "*.md"] })).not.toContain("README.md");
  });

  test("of several GGUF models, those that are named", async () => {
    put("README.md", "m-Q8_0.gguf", "big/m-F16-00001-of-00002.gguf", "big/m-F16-00002-of-00002.gguf");
    expect(await refusal(planned())).toMatchObject({
      code: "E_USAGE",
      message: "the repository holds 2 models: big/m-F16-00001-of-00002.gguf, m-Q8_0.gguf",
      remedy: "Say which, such as hf://org/model/big/m-F16-00001-of-00002.gguf.",
    });
    expect(await names({ include: ["*Q8_0*"] })).toEqual(["m-Q8_0.gguf"]);
    expect(await names({ exclude: ["big/"] })).toEqual(["README.md", "m-Q8_0.gguf"]);
    const both = ["big/m-F16-00001-of-00002.gguf", "big/m-F16-00002-of-00002.gguf"];
    expect(await names({ address: `hf://org/model/${both[0]}` })).toEqual(both);
    expect(await names({ address: "hf://org/model/big" })).toEqual(both);
  });

  test("pickles only where they are asked for as such", async () => {
    put("config.json", "pytorch_model.bin", "optimizer.pt");
    expect(await names()).toEqual(["config.json"]);
    const all = await planned({ include: ["*"] });
    expect(all.files.map(({ path }) => path)).toEqual(["config.json"]);
    expect(all.pickles).toEqual(["pytorch_model.bin", "optimizer.pt"]);
    expect(await names({ include: ["*.bin", "*.json"] })).toEqual(["config.json", "pytorch_model.bin"]);
    expect(await names({ address: "hf://org/model/optimizer.pt" })).toEqual(["optimizer.pt"]);
    expect(await refusal(planned({ include: ["pytorch*"] }))).toMatchObject({
      code: "E_HUB",
      message: "none of the repository's files is wanted",
      remedy:
        "What matches is pickled, and runs as a program where it is loaded; to have it, name it: --include 'pytorch_model.bin'.",
    });
  });

  test("patterns: any text, any character, a folder", async () => {
    put("a.json", "ab.json", "x/a.json", "x/y/b.json", "a+b.json");
    expect(await names({ include: ["a*.json"] })).toEqual(["a.json", "ab.json", "a+b.json"]);
    expect(await names({ include: ["?.json"] })).toEqual(["a.json"]);
    expect(await names({ include: ["x/"] })).toEqual(["x/a.json", "x/y/b.json"]);
    expect(await names({ include: ["*y*b*"] })).toEqual(["x/y/b.json"]);
    expect(await names({ include: ["a.json", "a+b.json"], exclude: ["*+*"] })).toEqual(["a.json"]);
    expect((await refusal(planned({ include: ["*.zip"] }))).message).toBe(
      "none of the repository's files is wanted",
    );
  });

  test("a revision, said once", async () => {
    put("config.json");
    const { repository } = await planned({ revision: "refs/pr/7" });
    expect(repository).toMatchObject({ model: "org/model", revision: "refs/pr/7", commit: COMMIT });
    expect(await refusal(planned({ address: "hf://org/model@main", revision: "refs/pr/7" }))).toMatchObject({
      code: "E_USAGE",
      message: "the address says revision main, and the option refs/pr/7",
    });
    expect((await refusal(planned({ revision: "../.." }))).code).toBe("E_USAGE");
  });

  test("a plan holds no token", async () => {
    put("config.json");
    const plan = await planned({ access: { ...access, endpoint: hub.endpoint, token: TOKEN } });
    expect(JSON.stringify(plan)).not.toContain("hf_");
    expect(JSON.stringify(plan)).toContain(COMMIT);
  });
});

describe("a download", () => {
  test("brings every file, each from where it is, and checks it", async () => {
    hub.put("config.json", '{"a": 1}');
    hub.put("empty.txt", "");
    hub.put("sub/folder/model.safetensors", bytes, large);
    hub.page = 2;
    const seen: DownloadProgress[] = [];
    const files = await fetched({}, {}, seen);
    expect(tree()).toEqual(["config.json", "empty.txt", "sub/folder/model.safetensors"]);
    expect(content("sub/folder/model.safetensors")).toEqual(bytes);
    expect(new TextDecoder().decode(content("config.json"))).toBe('{"a": 1}');
    expect(files.map(({ name, resumed }) => [name, resumed])).toEqual([
      ["config.json", 0],
      ["empty.txt", 0],
      ["sub/folder/model.safetensors", 0],
    ]);
    expect(files[2]).toMatchObject({
      path: join(folder, "sub/folder/model.safetensors"),
      bytes: bytes.length,
      checksum: { kind: "sha256" },
    });
    expect(seen[0]).toMatchObject({ done: 0, total: bytes.length + 8 });
  });

  test("keeps what is there, and does not ask for it", async () => {
    hub.put("config.json", "{}");
    hub.put("model.safetensors", bytes, large);
    await fetched();
    hub.asked = [];
    expect((await fetched()).map(({ resumed }) => resumed)).toEqual([2, bytes.length]);
    expect(hub.transfers).toEqual([]);
  });

  test("replaces nothing else, unless it may", async () => {
    hub.put("config.json", "{}");
    mkdirSync(folder);
    for (const other of ["[]", "something longer"]) {
      writeFileSync(join(folder, "config.json"), other);
      expect(await refusal(fetched())).toMatchObject({
        code: "E_OUTPUT_EXISTS",
        message: "the file exists already, with another content than on the hub",
        at: { file: join(folder, "config.json") },
        remedy: "Pass --force to replace it, or choose another folder with -o.",
      });
      expect(new TextDecoder().decode(content("config.json"))).toBe(other);
    }
    await fetched({}, { force: true });
    expect(new TextDecoder().decode(content("config.json"))).toBe("{}");
    expect(tree()).toEqual(["config.json"]);
  });

  test("goes on where a connection broke, as long as the file is the same", async () => {
    hub.put("model.safetensors", bytes, large);
    const cuts = [50_000, 70_000, 1];
    hub.fault = (request, response, server) => {
      const cut = server === "cdn" ? cuts.shift() : undefined;
      if (cut !== undefined) cutAfter(bytes, cut)(request as never, response as never);
      return cut !== undefined;
    };
    await fetched();
    expect(content("model.safetensors")).toEqual(bytes);
    const asked = hub.transfers.filter(({ server }) => server === "cdn");
    expect(asked.map(({ range }) => range)).toEqual([
      undefined,
      "bytes=50000-",
      "bytes=120000-",
      // By now the ETag is another one: the file comes whole, once more.
      "bytes=120001-",
    ]);
    expect(asked.slice(1).map(({ ifRange }) => ifRange)).toEqual(['"cut"', '"cut"', '"cut"']);
  });

  test("goes on where a server does not answer, or falls silent", async () => {
    hub.put("model.safetensors", bytes, large);
    let silences = 2;
    hub.fault = (_, response, server) => {
      if (server !== "cdn" || silences-- <= 0) return false;
      if (silences === 0)
        response.writeHead(200, { "content-length": 200_000 }).write(bytes.subarray(0, 70_000));
      return true;
    };
    const brief: Access = { endpoint: hub.endpoint, patience: { tries: 3, delay: 1, silence: 200 } };
    await fetched({ access: brief });
    expect(content("model.safetensors")).toEqual(bytes);
    expect(hub.transfers.at(-1)!.range).toBe("bytes=70000-");
  });

  test("goes on where an earlier run was stopped", async () => {
    hub.put("model.safetensors", bytes, large);
    const stop = new AbortController();
    hub.fault = (request, response, server) => {
      if (server !== "cdn") return false;
      cutAfter(bytes, 60_000)(request as never, response as never);
      // From now on nobody answers.
      hub.fault = (_, __, server) => {
        if (server !== "cdn") return false;
        stop.abort(new Error("enough"));
        return true;
      };
      return true;
    };
    await expect(fetched({}, { signal: stop.signal })).rejects.toThrow("enough");
    expect(tree()).toEqual([partial()]);
    expect(statSync(join(folder, partial())).size).toBe(60_000);

    hub.fault = () => false;
    hub.asked = [];
    expect(await fetched()).toMatchObject([{ resumed: 60_000 }]);
    expect(hub.transfers.map(({ range }) => range)).toEqual(["bytes=60000-", "bytes=60000-"]);
    expect(content("model.safetensors")).toEqual(bytes);
    expect(tree()).toEqual(["model.safetensors"]);
  });

  test("starts over where the file changed meanwhile, or a server knows no ranges", async () => {
    hub.put("model.safetensors", bytes, large);
    let first = true;
    hub.fault = (request, response, server) => {
      if (server !== "cdn" || !first) return false;
      first = false;
      cutAfter(
        bytes.map((byte) => byte ^ 1),
        60_000,
      )(request as never, response as never);
      return true;
    };
    await fetched();
    expect(content("model.safetensors")).toEqual(bytes);
    expect(hub.transfers.at(-1)).toMatchObject({ range: "bytes=60000-", ifRange: '"cut"' });
  });

  test("does not trust what a crash left", async () => {
    hub.put("model.safetensors", bytes, large);
    hub.fault = (_, response, server) => {
      if (server === "cdn") response.writeHead(404).end();
      return server === "cdn";
    };
    await refusal(fetched());
    expect(tree()).toEqual([]);
    writeFileSync(await partialOf("model.safetensors"), new Uint8Array(5000));
    hub.fault = () => false;
    expect(await fetched()).toMatchObject([{ resumed: 0 }]);
    expect(content("model.safetensors")).toEqual(bytes);
  });

  test("waits for a busy hub", async () => {
    hub.put("model.safetensors", bytes, large);
    let busy = 2;
    hub.fault = (request, response) => {
      if (!request.url!.includes("/resolve/") || busy-- <= 0) return false;
      response.writeHead(429, { "retry-after": "0" }).end("slow down");
      return true;
    };
    await fetched();
    expect(content("model.safetensors")).toEqual(bytes);
  });

  test("takes several files at a time, and not all", async () => {
    for (let i = 0; i < 12; i++) hub.put(`model-${i}.safetensors`, noise(1000 + i), large);
    let now = 0;
    let most = 0;
    hub.fault = (_, response, server) => {
      if (server !== "cdn") return false;
      most = Math.max(most, ++now);
      response.on("finish", () => now--);
      return false;
    };
    await fetched({}, { parallel: 3 });
    expect(tree()).toHaveLength(12);
    expect(most).toBeLessThanOrEqual(3);
  });

  test("sends the token to the hub and to nobody else", async () => {
    hub.locked = "private";
    hub.put("config.json", "{}");
    hub.put("model.safetensors", bytes, large);
    await fetched({ access: { ...access, endpoint: hub.endpoint, token: TOKEN } });
    for (const { server, authorization } of hub.asked)
      expect(authorization).toBe(server === "hub" ? `Bearer ${TOKEN}` : undefined);
    expect(hub.asked.some(({ server }) => server === "cdn")).toBe(true);
  });

  test("belongs to one run at a time", async () => {
    hub.put("config.json", "{}");
    const first = download(await planned(), folder);
    await first.next();
    expect(await refusal(fetched())).toMatchObject({ code: "E_BUSY" });
    await first.return([]);
    await fetched();
    expect(tree()).toEqual(["config.json"]);
  });
});

describe("what came is not what was promised", () => {
  test("another checksum", async () => {
    hub.put("config.json", "{}", { checksum: "0".repeat(40) });
    hub.put("model.safetensors", bytes, { ...large, checksum: "1".repeat(64) });
    const error = await refusal(fetched({ include: ["model*"] }));
    expect(error).toMatchObject({
      code: "E_HUB",
      at: { file: "hf://org/model/model.safetensors" },
      remedy: "What came was damaged on its way, and has been removed: start again.",
    });
    expect(error.message).toMatch(/^its checksum is [\da-f]{64}, and the hub says 1{64}$/);
    expect((await refusal(fetched({ include: ["config*"] }))).message).toMatch(
      /^its checksum is [\da-f]{40}, and the hub says 0{40}$/,
    );
    expect(tree()).toEqual([]);
  });

  test("more bytes, or fewer", async () => {
    hub.put("model.safetensors", bytes, { ...large, size: 1000 });
    expect(await refusal(fetched())).toMatchObject({
      code: "E_HUB",
      message: "more came than the 1000 bytes that the hub lists",
    });
    rmSync(folder, { recursive: true });
    hub.put("model.safetensors", bytes.subarray(0, 1000), { ...large, size: 2000 });
    expect(await refusal(fetched())).toMatchObject({
      code: "E_HUB",
      message: "the hub lists 2000 bytes, and there are no more than 1000",
      remedy: "Try again later; should that not help, remove the .partial file.",
    });
  });

  test("another part of the file", async () => {
    hub.put("model.safetensors", bytes, large);
    let cut = false;
    hub.fault = (request, response, server) => {
      if (server !== "cdn") return false;
      if (cut) response.writeHead(206, { "content-range": `bytes 7-9/${bytes.length}` }).end("abc");
      else cutAfter(bytes, 100)(request as never, response as never);
      cut = true;
      return true;
    };
    expect(await refusal(fetched())).toMatchObject({
      code: "E_HUB",
      message: "byte 100 was asked for, and the answer begins with 7",
    });
  });

  test("connections that break each time without a byte", async () => {
    hub.put("model.safetensors", bytes, large);
    hub.fault = (request, response, server) => {
      if (server !== "cdn") return false;
      cutAfter(bytes, hub.transfers.length < 3 ? 100 : 0)(request as never, response as never);
      return true;
    };
    expect(await refusal(fetched())).toMatchObject({
      code: "E_IO",
      message: `the connection broke 3 times without bringing more than 100 of ${bytes.length} bytes`,
      remedy: "Check the network and start again: what has arrived is kept.",
    });
    expect(statSync(join(folder, partial())).size).toBe(100);
  });

  test.each([
    [401, /^the hub answered 401: /],
    [403, /^the hub answered 403: the model may only be read by those who were let in$/],
    [404, /^the hub answered 404: /],
    [429, /^the hub answered 429: there were too many requests$/],
    [500, /^the hub answered 500: it failed$/],
  ])("an answer of %i", async (status, message) => {
    hub.put("model.safetensors", bytes, large);
    hub.fault = (request, response) => {
      if (!request.url!.includes("/resolve/")) return false;
      response.writeHead(status, { "retry-after": "0" }).end();
      return true;
    };
    const error = await refusal(fetched());
    expect(error.code).toBe("E_HUB");
    expect(error.message).toMatch(message);
  });
});

describe("names that are no names", () => {
  test.each<[string, string]>([
    ["../../etc/passwd.json", "leads to another folder"],
    ["a/../../b.json", "leads to another folder"],
    ["a//b.json", "leads to another folder"],
    ["./b.json", "leads to another folder"],
    ["/etc/passwd.json", "is an absolute path"],
    ["C:/windows/system.json", "is an absolute path"],
    ["a\\b.json", "holds a backslash"],
    ["a\u0000.json", "holds a control character"],
    ["a\u001b[2J.json", "holds a control character"],
    [`${"x".repeat(250)}.json`, "is too long"],
    [`${"x/".repeat(600)}a.json`, "is too long"],
    ["con.json", "is the name of a device"],
    ["sub/LPT1.json", "is the name of a device"],
    ["a:stream.json", "holds a character that not every system allows"],
    ["folder./a.json", "has a part that ends in a dot or a space"],
    ["a.partial/b.json", "is what unfinished files are called"],
  ])("%j", async (path, why) => {
    hub.put("config.json", "{}");
    hub.put(path, "{}");
    const error = await refusal(fetched());
    expect(error.code).toBe("E_HUB");
    expect(error.message).toContain(`the repository holds a file whose name ${why}: "`);
    expect(error.at).toEqual({ file: "hf://org/model" });
    expect(tree()).toEqual([]);
    expect(hub.transfers).toEqual([]);
    // The rest of the repository can be had.
    await fetched({ exclude: [`${path.slice(0, 30)}*`] });
    expect(tree()).toEqual(["config.json"]);
  });

  test.each([
    ["Config.json", "config.json"],
    ["a.json", "A.JSON/b.json"],
    ["caf\u00e9.json", "cafe\u0301.json"],
  ])("%j and %j", async (a, b) => {
    hub.put(a, "{}");
    hub.put(b, "{}");
    expect(await refusal(fetched())).toMatchObject({
      code: "E_HUB",
      message: `the repository holds ${a} and ${b}, which cannot both be files on every system`,
    });
  });
});

describe("what lies in the folder", () => {
  const outside = join(root, "outside");
  beforeEach(() => {
    rmSync(outside, { recursive: true, force: true });
    mkdirSync(outside);
    writeFileSync(join(outside, "config.json"), "mine");
    mkdirSync(folder);
    hub.put("sub/config.json", "{}");
  });
  const untouched = (): void => {
    expect(readdirSync(outside)).toEqual(["config.json"]);
    expect(readFileSync(join(outside, "config.json"), "utf8")).toBe("mine");
  };

  test("a link in place of a folder or file is not followed", async () => {
    symlinkSync(outside, join(folder, "sub"));
    expect(await refusal(fetched({}, { force: true }))).toMatchObject({
      code: "E_LINK",
      message: "it is a link, and nothing is written through one",
      at: { file: join(folder, "sub") },
    });
    rmSync(join(folder, "sub"));
    mkdirSync(join(folder, "sub"));
    symlinkSync(join(outside, "config.json"), join(folder, "sub/config.json"));
    expect(await refusal(fetched({}, { force: true }))).toMatchObject({ code: "E_LINK" });
    untouched();
  });

  test("neither is one in place of an unfinished file", async () => {
    const name = await partialOf("sub/config.json");
    mkdirSync(join(name, ".."), { recursive: true });
    symlinkSync(join(outside, "config.json"), name);
    expect((await refusal(fetched())).code).toBe("E_LINK");
    rmSync(name);
    linkSync(join(outside, "config.json"), name);
    expect(await refusal(fetched())).toMatchObject({ code: "E_LINK", message: "it has other names as well" });
    untouched();
  });

  test("a file in place of a folder, and a folder in place of a file", async () => {
    writeFileSync(join(folder, "sub"), "");
    expect(await refusal(fetched())).toMatchObject({ code: "E_IO", message: "it is no folder" });
    rmSync(join(folder, "sub"));
    mkdirSync(join(folder, "sub/config.json"), { recursive: true });
    expect(await refusal(fetched())).toMatchObject({ code: "E_IO", message: "it is no regular file" });
    rmSync(folder, { recursive: true });
    writeFileSync(folder, "");
    expect(await refusal(fetched())).toMatchObject({
      code: "E_IO",
      message: "making the folder failed: there is something else of that name (EEXIST)",
      at: { file: folder },
      remedy: "Choose another name.",
    });
  });
});

test("a disk that is too small is found before anything is asked for", async () => {
  hub.put("model.safetensors", bytes, { ...large, size: 2 ** 52 });
  const error = await refusal(fetched());
  expect(error).toMatchObject({ code: "E_SPACE", at: { file: folder } });
  expect(error.message).toMatch(/^the files need 4503599627370496 bytes and the disk has \d+ free$/);
  expect(hub.transfers).toEqual([]);
});
