import { createHash } from "node:crypto";
import { existsSync, mkdirSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeEach, describe, expect, test } from "vitest";
import { sharedFolder } from "../../../tooling/golden.js";
import { COMMIT, cutAfter, TOKEN, testHub } from "../../../tooling/hub.js";
import { environment, runHere, start } from "./command-line.js";
import { temporaryFolder } from "./temporary.js";

const stories = readFileSync(
  fileURLToPath(new URL("../../../tooling/fixture/stories.gguf", import.meta.url)),
);
const hub = testHub();
const root = temporaryFolder();
let folder = root;
let count = 0;
beforeEach(() => {
  folder = join(root, String(count++));
  mkdirSync(folder);
  process.chdir(folder);
  process.env.HF_ENDPOINT = hub.endpoint;
  process.env.HF_TOKEN = TOKEN;
  hub.put("README.md", "# Stories");
  hub.put("stories-BF16.gguf", stories, { large: true });
});
afterAll(() => {
  delete process.env.HF_ENDPOINT;
  delete process.env.HF_TOKEN;
});

/** Runs a command line; nothing it says may hold the token. */
async function run(...args: string[]) {
  const ended = await runHere(args, folder);
  expect(ended.stdout + ended.stderr).not.toContain(TOKEN);
  return ended;
}
const sha256 = (file: string): string =>
  createHash("sha256")
    .update(readFileSync(join(folder, file)))
    .digest("hex");

describe("a model on the hub", () => {
  test("is inspected in place", async () => {
    hub.locked = "private";
    const { status, stdout, stderr } = await run("inspect", "hf://org/model");
    expect({ status, stderr }).toEqual({ status: 0, stderr: "" });
    expect(stdout).toContain(
      `${hub.endpoint}/org/model/resolve/${COMMIT}/stories-BF16.gguf\ngguf, 38 tensors, 3.74 M weights, 7.48 MB`,
    );
    const json = await run("inspect", "hf://org/model@main/stories-BF16.gguf", "--json");
    expect(JSON.parse(json.stdout).tensors).toHaveLength(38);
    const ranges = hub.transfers.map(({ range }) => /(\d+)-(\d+)/.exec(range!)!);
    expect(Math.max(...ranges.map(([, from, to]) => Number(to) - Number(from)))).toBeLessThan(1 << 20);
  });

  test("is quantized in place, on every thread, to the same bytes", async () => {
    hub.locked = "gated";
    const remote = await run("quantize", "hf://org/model", "--type", "Q4_K_M", "--threads", "2");
    expect(remote).toMatchObject({ status: 0, stderr: "" });
    expect(readdirSync(folder)).toEqual(["model-Q4_K_M.gguf"]);
    await run("download", "hf://org/model", "-o", ".", "--quiet");
    await run("quantize", "stories-BF16.gguf", "local.gguf", "--type", "Q4_K_M");
    expect(sha256("model-Q4_K_M.gguf")).toBe(sha256("local.gguf"));
    for (const { server, authorization } of hub.asked)
      expect(authorization).toBe(server === "hub" ? `Bearer ${TOKEN}` : undefined);
  });

  test("is in a plan without its address and the token", async () => {
    const { stdout } = await run("quantize", "hf://org/model", "--type", "Q8_0", "--dry-run", "--json");
    expect(JSON.stringify(JSON.parse(stdout).plan)).not.toContain("http");
  });

  test("that changes during a run leaves no output", async () => {
    hub.fault = (request, _, server) => {
      // From the first weights on.
      if (server === "cdn" && Number(/bytes=(\d+)/.exec(request.headers.range!)![1]) > 1 << 20)
        hub.state = "2";
      return false;
    };
    const { status, stderr } = await run("quantize", "hf://org/model", "--type", "Q8_0");
    expect(stderr).toBe(
      `error[E_INPUT_CHANGED] ${hub.endpoint}/org/model/resolve/${COMMIT}/stories-BF16.gguf: ${/the file changed on the server.*/.exec(stderr)![0]}\n`,
    );
    expect(status).toBe(3);
    expect(readdirSync(folder)).toEqual([]);
  });

  const checkpoint = sharedFolder && join(sharedFolder, "models/TinyStories-656K-sharded");
  test.skipIf(checkpoint === undefined)("is a checkpoint, converted as it comes", async () => {
    hub.reset();
    hub.locked = "gated";
    for (const name of readdirSync(checkpoint!))
      hub.put(name, readFileSync(join(checkpoint!, name)), { large: name.endsWith(".safetensors") });
    const remote = await run("quantize", "hf://org/model", "--type", "Q8_0", "--threads", "2");
    expect(remote.status).toBe(0);
    expect(readdirSync(folder)).toEqual(["model-Q8_0.gguf"]);
    const local = await run("quantize", checkpoint!, "local.gguf", "--type", "Q8_0");
    expect(remote.stderr).toBe(local.stderr);
    expect(hub.asked.filter(({ path }) => path.includes("/revision/"))).toHaveLength(1);
    const { stdout } = await run("error", "local.gguf", "model-Q8_0.gguf", "--json");
    const { total, missing, added } = JSON.parse(stdout);
    expect({ missing, added }).toEqual({ missing: [], added: [] });
    expect(total).toMatchObject({ maxError: 0 });
    // All but what a model is called, which is another matter on a hub.
    const metadataOf = async (file: string) =>
      JSON.parse((await run("inspect", file, "--json")).stdout).metadata.filter(
        ({ key }: { key: string }) => !key.startsWith("general."),
      );
    expect(await metadataOf("model-Q8_0.gguf")).toEqual(await metadataOf("local.gguf"));
    expect(hub.asked.filter(({ server, authorization }) => server === "cdn" && authorization)).toEqual([]);
  });

  test("is split and merged", async () => {
    await run("split", "hf://org/model", "--split-max-size", "4M");
    expect(readdirSync(folder)).toEqual(["model-00001-of-00002.gguf", "model-00002-of-00002.gguf"]);
    hub.files.delete("stories-BF16.gguf");
    for (const name of readdirSync(folder)) hub.put(name, readFileSync(join(folder, name)), { large: true });
    await run("merge", "hf://org/model", "-o", "whole.gguf");
    expect(readFileSync(join(folder, "whole.gguf")).equals(stories)).toBe(true);
  });

  test("that falls silent is no obstacle to stopping", async () => {
    let silent = false;
    hub.fault = (request, _, server) => {
      silent ||= server === "cdn" && Number(/bytes=(\d+)/.exec(request.headers.range!)![1]) > 1 << 20;
      return silent && server === "cdn";
    };
    environment.HF_ENDPOINT = hub.endpoint;
    const running = start(["quantize", "hf://org/model", "--type", "Q8_0"], folder);
    for (let i = 0; !silent; i++) {
      if (i > 600) throw new Error("the run never began to read");
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
    running.child.kill("SIGINT");
    expect(await running.ended).toMatchObject({
      status: 130,
      stderr: "error[E_ABORTED] Stopped by SIGINT; nothing unfinished has the name of an output.\n",
    });
    expect(readdirSync(folder)).toEqual([]);
  });

  test("is not there, or one of several", async () => {
    expect((await run("inspect", "hf://org/other")).stderr).toBe(
      "error[E_HUB] hf://org/other: the hub answered 401: it does not accept the token in HF_TOKEN, or there is no such model. Check the address, and whether the token is still valid.\n",
    );
    hub.put("other.gguf", stories, { large: true });
    const { status, stderr } = await run("inspect", "hf://org/model");
    expect(status).toBe(2);
    expect(stderr).toBe(
      "error[E_USAGE] hf://org/model: the repository holds 2 models: stories-BF16.gguf, other.gguf. Say which, such as hf://org/model/other.gguf.\n".replace(
        "stories-BF16.gguf, other.gguf",
        "other.gguf, stories-BF16.gguf",
      ),
    );
  });
});

describe("download", () => {
  test("puts the model into a folder of its name, and says what came", async () => {
    const { status, stdout, stderr } = await run("download", "hf://org/model");
    expect({ status, stderr }).toEqual({ status: 0, stderr: "" });
    expect(stdout).toMatch(
      /model\/README\.md\n.*model\/stories-BF16\.gguf\n2 files, 7\.54 MB; [\d.]+ s, [\d.]+ \wB\/s\n$/,
    );
    expect(readFileSync(join(folder, "model/stories-BF16.gguf")).equals(stories)).toBe(true);
    expect((await run("download", "hf://org/model")).stdout).toMatch(
      /2 files, 7\.54 MB, of which 7\.54 MB were there already; [\d.]+ s\n$/,
    );
  });

  test("--dry-run lists the files", async () => {
    const { stdout } = await run("download", "hf://org/model", "--dry-run");
    expect(stdout).toContain(
      "FILE                  SIZE\nREADME.md              9 B\nstories-BF16.gguf  7.54 MB\n",
    );
    expect(stdout).toContain("\n2 files, 7.54 MB of hf://org/model would be written to ");
    expect(readdirSync(folder)).toEqual([]);
    const json = await run("download", "hf://org/model", "--dry-run", "--json", "--exclude", "*.md");
    expect(JSON.parse(json.stdout)).toEqual({
      model: "org/model",
      revision: "main",
      commit: COMMIT,
      output: join(folder, "model"),
      files: [
        {
          path: "stories-BF16.gguf",
          bytes: stories.length,
          checksum: { kind: "sha256", value: createHash("sha256").update(stories).digest("hex") },
        },
      ],
      bytes: stories.length,
    });
  });

  test("--json tells where everything is", async () => {
    const { stdout } = await run("download", "hf://org/model", "-o", "here", "--include=*.gguf", "--json");
    expect(JSON.parse(stdout)).toMatchObject({
      commit: COMMIT,
      output: [{ name: "stories-BF16.gguf", path: join(folder, "here/stories-BF16.gguf"), resumed: 0 }],
      bytes: stories.length,
    });
  });

  test("says which pickles it leaves out", async () => {
    hub.put("pytorch_model.bin", "x", { large: true });
    const { stderr } = await run("download", "hf://org/model", "--include", "*");
    expect(stderr).toBe(
      "note: left out because they are pickled: pytorch_model.bin; --include 'pytorch_model.bin' would take it\n",
    );
    expect(existsSync(join(folder, "model/pytorch_model.bin"))).toBe(false);
  });

  test("that is stopped goes on where it was", async () => {
    hub.fault = (request, response, server) => {
      if (server !== "cdn") return false;
      cutAfter(stories, 3_000_000)(request as never, response as never);
      hub.fault = (_, __, server) => server === "cdn";
      return true;
    };
    environment.HF_ENDPOINT = hub.endpoint;
    const running = start(["download", "hf://org/model"], folder);
    for (let i = 0; !hub.transfers.some(({ range }) => range === "bytes=3000000-"); i++) {
      if (i > 600) throw new Error("the download never went on");
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
    running.child.kill("SIGINT");
    const ended = await running.ended;
    expect(ended.status).toBe(130);
    expect(ended.stderr).toContain("note: what has arrived is kept; the same command goes on from there\n");
    expect(readdirSync(join(folder, "model")).sort()).toEqual([
      "README.md",
      expect.stringMatching(/^stories-BF16\.gguf\.[\da-f]{12}\.partial$/),
    ]);
    hub.fault = () => false;
    expect((await run("download", "hf://org/model")).stdout).toContain("of which 3.00 MB were there already");
    expect(readFileSync(join(folder, "model/stories-BF16.gguf")).equals(stories)).toBe(true);
  });

  test("under --json an error is the document", async () => {
    const { status, stdout } = await run("download", "hf://org", "--json");
    expect(status).toBe(2);
    expect(JSON.parse(stdout)).toEqual({
      error: {
        code: "E_USAGE",
        message: "it is no address of a model on the hub",
        file: "hf://org",
        remedy:
          "Write hf://organisation/model, hf://organisation/model@revision, or either with /path/of/a/file.",
      },
    });
  });
});
