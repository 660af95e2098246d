import { createServer, type RequestListener } from "node:http";
import type { AddressInfo } from "node:net";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { nodeIo } from "../src/files.js";
import { openCheckpoint, openModel } from "../src/open-model.js";
import { createRegistry, definePlugin } from "../src/registry.js";
import { urlSource } from "../src/source.js";
import type { Source } from "../src/types.js";

const bytes = Uint8Array.from({ length: 1000 }, (_, i) => i * 7);

/** What the server does with the next request; a well-behaved one by default. */
let answer: RequestListener;
let requested: string[];
let etag: string;
const server = createServer((request, response) => {
  requested.push(request.url!);
  answer(request, response);
});

const ranges: RequestListener = (request, response) => {
  const [, from, to] = /bytes=(\d+)-(\d+)/.exec(request.headers.range ?? "")!;
  const end = Math.min(Number(to), bytes.length - 1);
  response.writeHead(206, { "content-range": `bytes ${from}-${end}/${bytes.length}`, etag });
  response.end(bytes.subarray(Number(from), end + 1));
};

beforeEach(async () => {
  answer = ranges;
  requested = [];
  etag = '"one"';
  await new Promise<void>((done) => server.listen(0, "127.0.0.1", done));
});
afterEach(async () => {
  server.closeAllConnections();
  await new Promise((done) => server.close(done));
});
const address = (path = "/m.bin"): string =>
  `http://127.0.0.1:${(server.address() as AddressInfo).port}${path}`;

async function read(source: Source, offset: number, count: number): Promise<Uint8Array> {
  const into = new Uint8Array(count);
  await source.read(offset, into);
  return into;
}

/** What a server says at first counts. */
const once = { tries: 1, delay: 0 };

test("reads any range, through redirects", async () => {
  answer = (request, response) => {
    if (request.url === "/m.bin") response.writeHead(302, { location: "/real" }).end();
    else ranges(request, response);
  };
  const source = await urlSource(address());
  expect(source.size).toBe(1000);
  expect(await read(source, 990, 10)).toEqual(bytes.subarray(990));
  expect(await read(source, 0, 0)).toEqual(new Uint8Array(0));
});

test.each<[string, RequestListener, object]>([
  [
    "that does not know the file",
    (_, response) => response.writeHead(404).end(),
    { code: "E_IO", message: "the server answered 404 Not Found" },
  ],
  [
    "that ignores ranges",
    (_, response) => response.writeHead(200).end(bytes),
    {
      code: "E_IO",
      message: "the server does not answer range requests",
      remedy: "Download the file first.",
    },
  ],
  [
    "that does not say how long the file is",
    (_, response) => response.writeHead(206, { "content-range": "bytes 0-0/*" }).end("x"),
    { code: "E_IO", message: "the server does not answer range requests" },
  ],
  ["whose file is empty", (_, response) => response.writeHead(416).end(), { code: "E_TRUNCATED" }],
  [
    "that hangs up",
    (request) => request.socket.destroy(),
    { code: "E_IO", message: "the request failed: other side closed" },
  ],
])("a server %s", async (_, listener, expected) => {
  answer = listener;
  await expect(urlSource(address(), {}, undefined, once)).rejects.toMatchObject({
    ...expected,
    at: { file: address() },
  });
});

test("a server that hangs up in the middle of a range", async () => {
  const source = await urlSource(address(), {}, undefined, once);
  answer = (request, response) => {
    response.writeHead(206, { "content-range": "bytes 0-99/1000", "content-length": 100, etag });
    response.write("half", () => request.socket.destroy());
  };
  await expect(read(source, 0, 100)).rejects.toMatchObject({
    code: "E_IO",
    message: expect.stringMatching(/^the request failed: /),
    at: { file: address() },
    remedy: "Check the address and the network.",
  });
});

test("a server that answers fewer bytes than were asked for", async () => {
  const source = await urlSource(address());
  await expect(read(source, 950, 100)).rejects.toMatchObject({
    code: "E_TRUNCATED",
    message: "100 bytes were expected and 50 are there",
  });
});

test.each<[string, RequestListener]>([
  [
    "begins elsewhere",
    (_, response) =>
      response.writeHead(206, { "content-range": "bytes 0-9/1000", etag }).end(bytes.subarray(0, 10)),
  ],
  [
    "never ends",
    (_, response) => {
      response.writeHead(206, { "content-range": "bytes 20-29/1000", etag });
      const more = (): void => void response.write(bytes, () => response.destroyed || setImmediate(more));
      more();
    },
  ],
])("a server whose answer %s is not taken at its word", async (_, listener) => {
  const source = await urlSource(address());
  answer = listener;
  await expect(read(source, 20, 10)).rejects.toMatchObject({
    code: "E_IO",
    message: "the server answers with another range than it was asked for",
    at: { file: address(), offset: 20 },
    remedy: "Download the file first.",
  });
});

test("a file that changes on the server is noticed, by whoever opened it and by other threads", async () => {
  const source = await urlSource(address());
  expect(source.at).toEqual({ kind: "url", url: address(), version: '"one"' });
  const other = nodeIo();
  etag = '"two"';
  const changed = { code: "E_INPUT_CHANGED", message: "the file changed on the server" };
  await expect(read(source, 0, 4)).rejects.toMatchObject(changed);
  await expect(other.read(source.at, 0, new Uint8Array(4))).rejects.toMatchObject(changed);
});

/** A format that asks for `beside`, and keeps what it is told of the file's name. */
function curious(beside: readonly string[] = [], seen: string[] = []) {
  return createRegistry([
    definePlugin({
      api: 1,
      name: "curious",
      version: "1.0.0",
      module: "",
      readers: [
        {
          id: "curious",
          extensions: [".bin"],
          sniff: (_, fileName) => seen.push(fileName) > 0,
          async open(source, sibling) {
            for (const name of beside) await sibling(name);
            return { format: "curious", metadata: [], tensors: [], files: [source.at], warnings: [] };
          },
        },
      ],
    }),
  ]);
}

test("other files of a model come from the same server, whatever they are called", async () => {
  const registry = curious(["http:elsewhere", "a?b#c d"]);
  await openModel(address("/models/m.bin?download=true"), registry);
  expect(new Set(requested)).toEqual(
    new Set(["/models/m.bin?download=true", "/models/http%3Aelsewhere", "/models/a%3Fb%23c%20d"]),
  );
});

test("a file is called what its address ends with, whatever is asked of it", async () => {
  const seen: string[] = [];
  for (const path of ["/models/m.bin", "/models/m.bin?of=a/b.txt#c/d", "/a%20b.bin", "/100%.bin"])
    await openModel(address(path), curious([], seen));
  expect(seen).toEqual(["m.bin", "m.bin", "a b.bin", "100%.bin"]);
});

describe("the files beside a model", () => {
  const besides = async (path = "/org/name/m.bin") => (await openCheckpoint(address(path), curious())).folder;

  test("may lie in folders", async () => {
    const folder = await besides();
    requested = [];
    expect(await folder.read("1_Pooling/con fig.json")).toEqual(bytes);
    expect(new Set(requested)).toEqual(new Set(["/org/name/1_Pooling/con%20fig.json"]));
    expect(folder.path("1_Pooling/con fig.json")).toBe(address("/org/name/1_Pooling/con%20fig.json"));
  });

  test("are missing where the server says so, and nowhere else", async () => {
    const folder = await besides();
    for (const status of [403, 404, 410]) {
      answer = (_, response) => response.writeHead(status).end();
      expect(await folder.read("config.json")).toBeUndefined();
    }
    for (const status of [400, 401, 501]) {
      answer = (_, response) => response.writeHead(status).end();
      await expect(folder.read("config.json")).rejects.toMatchObject({
        code: "E_IO",
        message: expect.stringContaining(`the server answered ${status}`),
      });
    }
  });

  test("are of a model that is called after its folder", async () => {
    expect((await besides()).name).toBe("name");
    expect((await besides("/a%20b/m.bin")).name).toBe("a b");
    expect((await besides("/100%/m.bin")).name).toBe("100%");
    expect((await besides("/m.bin")).name).toBe("model");
  });
});

describe("a server that has a bad moment", () => {
  const soon = { tries: 4, delay: 1 };
  const failing = (times: number, first: RequestListener): RequestListener => {
    let left = times;
    return (request, response) => (left-- > 0 ? first : ranges)(request, response);
  };

  test.each<[string, RequestListener]>([
    ["is asked again where it hangs up", (request) => request.socket.destroy()],
    ["is asked again where it is overloaded", (_, response) => response.writeHead(503).end("no")],
    [
      "is asked again when it says",
      (_, response) => response.writeHead(429, { "retry-after": "0" }).end("slow down"),
    ],
    [
      "is asked again where it breaks off",
      (request, response) => {
        const from = /bytes=(\d+)/.exec(request.headers.range ?? "")![1];
        response.writeHead(206, { "content-range": `bytes ${from}-999/1000`, "content-length": 1000, etag });
        response.write("h", () => request.socket.destroy());
      },
    ],
  ])("%s", async (_, moment) => {
    answer = failing(3, moment);
    const source = await urlSource(address(), {}, undefined, soon);
    expect(await read(source, 10, 20)).toEqual(bytes.subarray(10, 30));
    answer = failing(3, moment);
    expect(await read(source, 990, 10)).toEqual(bytes.subarray(990));
  });

  test.each<[string, RequestListener]>([
    ["does not answer", () => {}],
    [
      "falls silent",
      (_, response) => {
        response.writeHead(206, { "content-range": "bytes 10-29/1000", "content-length": 20, etag });
        response.write("half");
      },
    ],
  ])("is asked again where it %s", async (_, moment) => {
    const brief = { tries: 2, delay: 1, silence: 50 };
    const source = await urlSource(address(), {}, undefined, brief);
    answer = failing(1, moment);
    expect(await read(source, 10, 20)).toEqual(bytes.subarray(10, 30));
    answer = moment;
    await expect(read(source, 10, 20)).rejects.toMatchObject({
      code: "E_IO",
      message: "the request failed: the server is silent",
      at: { file: address(), offset: 10 },
    });
  });

  test("is asked so often and not more", async () => {
    answer = (_, response) => response.writeHead(503).end();
    await expect(urlSource(address(), {}, undefined, soon)).rejects.toMatchObject({
      code: "E_IO",
      message: "the server answered 503 Service Unavailable",
    });
    expect(requested).toHaveLength(4);
  });
});

describe("an address that leads to another server", () => {
  let asked: { path: string; authorization: string | undefined }[];
  const expiring = new Set<string>();
  const other = createServer((request, response) => {
    asked.push({ path: request.url!, authorization: request.headers.authorization });
    if (expiring.has(request.url!)) response.writeHead(403).end();
    else ranges(request, response);
  });
  let signature = 1;
  beforeEach(async () => {
    asked = [];
    await new Promise<void>((done) => other.listen(0, "127.0.0.1", done));
    answer = (_, response) =>
      response
        .writeHead(302, {
          location: `http://127.0.0.1:${(other.address() as AddressInfo).port}/real?${signature}`,
        })
        .end();
  });
  afterEach(async () => {
    other.closeAllConnections();
    await new Promise((done) => other.close(done));
  });

  test("that server is asked at once, without the headers, until it refuses", async () => {
    const source = await urlSource(address(), { authorization: "Bearer secret" });
    await read(source, 0, 10);
    await read(source, 10, 10);
    expect(requested).toEqual(["/m.bin"]);
    expiring.add("/real?1");
    signature = 2;
    expect(await read(source, 20, 10)).toEqual(bytes.subarray(20, 30));
    await read(source, 30, 10);
    expect(requested).toEqual(["/m.bin", "/m.bin"]);
    expect(asked.map(({ path }) => path.slice(-1)).join("")).toBe("111122");
    expect(new Set(asked.map(({ authorization }) => authorization))).toEqual(new Set([undefined]));
    expect(source.at).toMatchObject({ url: address() });
  });
});
