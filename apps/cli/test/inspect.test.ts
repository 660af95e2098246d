import { spawn } from "node:child_process";
import { once } from "node:events";
import { createReadStream, existsSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { environment, fewbit, main } from "./command-line.js";
import { float32, weights, writeGguf, writeTinyModel } from "./model.js";
import { temporaryFolder } from "./temporary.js";

const folder = temporaryFolder();
const inspect = (...args: string[]) => fewbit(["inspect", ...args], folder);

beforeAll(() => {
  writeTinyModel(join(folder, "tiny.gguf"), [
    {
      key: "tokenizer.ggml.tokens",
      type: "array<string>",
      value: Array.from({ length: 5000 }, (_, i) => `t${i}`),
    },
    { key: "tokenizer.ggml.scores", type: "array<f32>", value: [Number.NaN, 1.5, Number.NEGATIVE_INFINITY] },
    { key: "odd.u64", type: "u64", value: 18446744073709551615n },
  ]);
});

describe("for people", () => {
  test("totals, metadata, tensors, types", async () => {
    const { status, stdout, stderr } = await inspect("tiny.gguf");
    expect({ status, stderr }).toEqual({ status: 0, stderr: "" });
    expect(stdout).toMatch(
      /^tiny\.gguf\ngguf, 21 tensors, 1\.34 M weights, 2\.69 MB, 16\.0\d\d bits per weight\n/,
    );
    expect(stdout).toMatch(/^llama\.block_count +u32 +2$/m);
    expect(stdout).toMatch(/^blk\.0\.ffn_up\.weight +\[512, 256\] +BF16 +262\.14 kB +16\.000$/m);
    expect(stdout).toMatch(/^BF16 +16 +1\.34 M +2\.69 MB +16\.000$/m);
  });

  test("long arrays are abbreviated", async () => {
    const { stdout } = await inspect("tiny.gguf");
    expect(stdout).toContain('["t0", "t1", "t2", "t3", "t4", "t5", …] (5000 values)');
    expect(stdout).toContain("[NaN, 1.5, -Infinity]");
    expect(stdout).toContain("18446744073709551615");
  });

  test("names and values cannot act on the terminal", async () => {
    writeGguf(
      join(folder, "hostile.gguf"),
      [
        { key: "general.architecture", type: "string", value: "llama" },
        { key: "evil\x1b[2J", type: "string", value: "\x9b31m\r\nfake: line\u202egnp.exe\x07" },
        { key: "list", type: "array<string>", value: ["\x1b]0;title\x07"] },
      ],
      [{ name: "a\x1b[8m\nb", shape: [4], bytes: float32(weights(4, 1)) }],
    );
    const { status, stdout, stderr } = await inspect("hostile.gguf");
    expect(status).toBe(0);
    expect(stdout + stderr).not.toMatch(/[\x00-\x09\x0b-\x1f\x7f-\x9f\u202a-\u202e]/);
    expect(stdout).toContain("evil\\x1b[2J");
    expect(stdout).toContain("\\x9b31m\\x0d\\x0afake: line\\u202egnp.exe\\x07");
    expect(stdout).toMatch(/^a\\x1b\[8m\\x0ab +\[4\]/m);
    const json = (await inspect("hostile.gguf", "--json")).stdout;
    expect(json).not.toMatch(/[\x00-\x09\x0b-\x1f\x7f-\x9f\u202a-\u202e]/);
    expect(JSON.parse(json).tensors[0].name).toBe("a\x1b[8m\nb");
  });
});

describe("--json", () => {
  test("is one valid document with everything in it", async () => {
    const { stdout } = await inspect("tiny.gguf", "--json");
    const document = JSON.parse(stdout);
    expect(document).toMatchObject({ format: "gguf", files: ["tiny.gguf"], weights: 1344768, warnings: [] });
    const metadata = Object.fromEntries(
      document.metadata.map(({ key, value }: { key: string; value: unknown }) => [key, value]),
    );
    expect(metadata["tokenizer.ggml.tokens"]).toHaveLength(5000);
    expect(metadata["tokenizer.ggml.scores"]).toEqual(["NaN", 1.5, "-Infinity"]);
    expect(metadata["odd.u64"]).toBe("18446744073709551615");
    expect(document.tensors).toHaveLength(21);
    const bytes = document.tensors.reduce((sum: number, tensor: { bytes: number }) => sum + tensor.bytes, 0);
    expect(document.bytes).toBe(bytes);
  });
});

test("piping into head ends quietly", async () => {
  // Far more than a pipe holds, so that the program is still writing when its reader goes away.
  const child = spawn(
    "bash",
    [
      "-c",
      `"$0" "$1" inspect tiny.gguf --json | head -n 1; echo "status \${PIPESTATUS[0]}"`,
      process.execPath,
      main,
    ],
    { cwd: folder, env: environment },
  );
  let stdout = "";
  let stderr = "";
  child.stdout.on("data", (text) => {
    stdout += text;
  });
  child.stderr.on("data", (text) => {
    stderr += text;
  });
  await once(child, "close");
  expect({ stdout, stderr }).toEqual({ stdout: "{\nstatus 0\n", stderr: "" });
});

test.skipIf(!existsSync("/dev/full"))(
  "output that cannot be written is an error, without a stack",
  async () => {
    const child = spawn("bash", ["-c", '"$0" "$1" inspect tiny.gguf >/dev/full', process.execPath, main], {
      cwd: folder,
      env: environment,
    });
    let stderr = "";
    child.stderr.on("data", (text) => {
      stderr += text;
    });
    const [status] = await once(child, "close");
    expect(status).toBe(4);
    expect(stderr).toBe(
      "error[E_SPACE] standard output: ENOSPC: no space left on device, write. Free some space and run again.\n",
    );
  },
);

describe("over http", () => {
  let server: Server;
  let address: string;
  const requests: string[] = [];
  beforeAll(async () => {
    server = createServer((request, response) => {
      requests.push(request.headers.range ?? "none");
      const path = join(folder, new URL(request.url!, "http://x").pathname);
      const range = /^bytes=(\d+)-(\d+)$/.exec(request.headers.range ?? "");
      let size: number;
      try {
        size = statSync(path).size;
      } catch {
        response.writeHead(404).end();
        return;
      }
      if (range === null || request.url!.includes("plain")) {
        response.writeHead(200, { "content-length": size });
        createReadStream(path).pipe(response);
        return;
      }
      const [from, to] = [Number(range[1]), Math.min(Number(range[2]), size - 1)];
      response.writeHead(206, {
        "content-range": `bytes ${from}-${to}/${size}`,
        "content-length": to - from + 1,
      });
      createReadStream(path, { start: from, end: to }).pipe(response);
    });
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    address = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  });
  afterAll(() => void server.close());

  test("reads the header by ranges, not the file", async () => {
    const { status, stdout, stderr } = await inspect(`${address}/tiny.gguf`, "--json");
    expect({ status, stderr }).toEqual({ status: 0, stderr: "" });
    const local = JSON.parse((await inspect("tiny.gguf", "--json")).stdout);
    const remote = JSON.parse(stdout);
    expect(remote.tensors).toEqual(local.tensors);
    expect(remote.metadata).toEqual(local.metadata);
    expect(requests).not.toContain("none");
  });

  test("quantizes what it reads there, into the working directory", async () => {
    const remote = await fewbit(["quantize", `${address}/tiny.gguf`, "--type", "Q8_0"], folder);
    expect(remote).toMatchObject({ status: 0, stderr: "" });
    const local = await fewbit(["quantize", "tiny.gguf", "local.gguf", "--type", "Q8_0"], folder);
    expect(local.status).toBe(0);
    expect(
      readFileSync(join(folder, "tiny-Q8_0.gguf")).equals(readFileSync(join(folder, "local.gguf"))),
    ).toBe(true);
  });

  test("says what the server answered", async () => {
    expect(await inspect(`${address}/nowhere.gguf`)).toMatchObject({
      status: 4,
      stderr: `error[E_IO] ${address}/nowhere.gguf: the server answered 404 Not Found. Check the address and your access.\n`,
    });
    writeFileSync(join(folder, "plain.gguf"), readFileSync(join(folder, "tiny.gguf")));
    expect(await inspect(`${address}/plain.gguf`)).toMatchObject({
      status: 4,
      stderr: `error[E_IO] ${address}/plain.gguf: the server does not answer range requests. Download the file first.\n`,
    });
  });
});

test("what is no model is named for what it looks like", async () => {
  writeFileSync(join(folder, "page.gguf"), "<!DOCTYPE html><title>404</title>");
  const { status, stderr } = await inspect("page.gguf");
  expect(status).toBe(3);
  expect(stderr).toMatch(/^error\[E_GGUF_MAGIC\] page\.gguf: .*HTML page.*, at byte 0/);
  writeFileSync(join(folder, "notes.txt"), "hello");
  expect((await inspect("notes.txt")).stderr).toMatch(
    /^error\[E_FORMAT_UNKNOWN\] notes\.txt: no registered reader/,
  );
});
