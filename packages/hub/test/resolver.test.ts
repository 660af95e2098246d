import { type FewbitError, isFewbitError, type Locator, nameOf, type Resolved } from "@fewbit/core";
import { nodeIo } from "@fewbit/core/node";
import { describe, expect, test } from "vitest";
import { COMMIT, noise, TOKEN, testHub } from "../../../tooling/hub.js";
import { type Access, hubResolver } from "../src/index.js";

const hub = testHub();
const bytes = noise(300_000);
const patience = { tries: 5, delay: 1 };
const anonymous = (): Access => ({ endpoint: hub.endpoint, patience });
const withToken = (): Access => ({ ...anonymous(), token: TOKEN });
const wanted = {
  folderFiles: ["model.safetensors.index.json", "model.safetensors"],
  extensions: [".gguf", ".safetensors"],
};
const open = (address: string, of = anonymous): Promise<Resolved> => hubResolver(of).open(address, wanted);
/** The path of what an address stands for. */
const chosen = async (address: string): Promise<string> => pathOf((await open(address)).source.at);
const pathOf = (at: Locator): string =>
  nameOf(at).replace(`${hub.endpoint}/org/model/resolve/${COMMIT}/`, "");
async function read(at: Locator, offset: number, count: number): Promise<Uint8Array> {
  const into = new Uint8Array(count);
  const io = nodeIo();
  await io.read(structuredClone(at) as Exclude<Locator, { kind: "view" }>, offset, into);
  io.close();
  return into;
}
async function refusal(address: string, of = anonymous): Promise<FewbitError> {
  const thrown = await open(address, of).catch((error: unknown) => error);
  if (!isFewbitError(thrown)) throw thrown;
  const { message, at, remedy, cause } = thrown;
  const said = [message, at, remedy, String(cause), thrown.stack];
  expect(JSON.stringify(said)).not.toContain(TOKEN);
  expect(message).not.toContain("words of a server");
  return thrown;
}
const large = { large: true };

describe("what an address stands for", () => {
  test("the only model of a repository, wherever it lies", async () => {
    hub.put("README.md", "# A model");
    hub.put("quantized/m-Q8_0.gguf", bytes, large);
    hub.put("mmproj-F16.gguf", "", large);
    hub.put("m.imatrix.gguf", "", large);
    expect(await chosen("hf://org/model")).toBe("quantized/m-Q8_0.gguf");
  });

  test("the file for a whole folder, best first, before any single model", async () => {
    hub.put("model.gguf", bytes, large);
    hub.put("half/model.safetensors", bytes, large);
    expect(await chosen("hf://org/model/half")).toBe("half/model.safetensors");
    hub.put("model.safetensors", bytes, large);
    expect(await chosen("hf://org/model@main")).toBe("model.safetensors");
    hub.put("model.safetensors.index.json", "{}");
    expect(await chosen("hf://org/model")).toBe("model.safetensors.index.json");
    expect(await chosen("hf://org/model@refs/pr/7/half/")).toBe("half/model.safetensors");
    expect(await chosen("hf://org/model@refs%2Fpr%2F7/half")).toBe("half/model.safetensors");
    expect(await chosen(`hf://org/model@${COMMIT}/model.gguf`)).toBe("model.gguf");
  });

  test("the first file of a split model", async () => {
    for (const i of [3, 1, 2]) hub.put(`m-0000${i}-of-00003.gguf`, bytes, large);
    expect(await chosen("hf://org/model")).toBe("m-00001-of-00003.gguf");
    expect(await chosen("hf://org/model/m-00002-of-00003.gguf")).toBe("m-00002-of-00003.gguf");
  });

  test("what lies beside it can be listed and opened, and nothing else", async () => {
    hub.put("half/model.safetensors", bytes, large);
    hub.put("half/config.json", "{}");
    hub.put("half/more/config.json", "{}");
    hub.put("config.json", "{}");
    const { list, sibling } = await open("hf://org/model/half");
    expect(await list()).toEqual(["model.safetensors", "config.json"]);
    expect(pathOf((await sibling("config.json")).at)).toBe("half/config.json");
    for (const name of ["../config.json", "tokenizer.json", "more/.."])
      await expect(sibling(name)).rejects.toMatchObject({
        code: "E_IO",
        message: "there is no such file in the repository",
        at: { file: `hf://org/model/half/${name}` },
      });
  });

  test("several models are listed", async () => {
    for (const type of ["Q8_0", "Q4_K_M"]) hub.put(`m-${type}.gguf`, bytes, large);
    expect(await refusal("hf://org/model@refs/pr/7")).toMatchObject({
      code: "E_USAGE",
      message: "the repository holds 2 models: m-Q4_K_M.gguf, m-Q8_0.gguf",
      at: { file: "hf://org/model@refs/pr/7" },
      remedy: "Say which, such as hf://org/model@refs/pr/7/m-Q4_K_M.gguf.",
    });
  });

  test.each([
    "hf://",
    "hf://gpt2",
    "hf://org/model@",
    "hf://org/model/../other",
    "hf://org/model/a//b",
    "hf://org/model@%2e%2e%2f",
    "hf://org/model@a%",
    "hf://../model",
    "hf://org/model/a\u0000b",
    "hf://datasets/org/name",
    "hf://org/mo del",
  ])("%j is no address", async (address) => {
    expect(await refusal(address)).toMatchObject({
      code: "E_USAGE",
      message: "it is no address of a model on the hub",
      at: { file: address },
    });
    expect(hub.asked).toEqual([]);
  });

  test("nothing", async () => {
    hub.put("README.md", "# Nothing");
    expect(await refusal("hf://org/model")).toMatchObject({
      code: "E_HUB",
      message: "there is no .gguf or .safetensors file in the repository",
    });
    expect(await refusal("hf://org/model/nowhere.gguf")).toMatchObject({
      code: "E_HUB",
      message: "there is no nowhere.gguf in the repository",
      at: { file: "hf://org/model/nowhere.gguf" },
    });
  });
});

describe("reading", () => {
  test("happens in place, at one commit, and asks the hub once where a file is", async () => {
    hub.put("a b#c?.gguf", bytes, large);
    const { source } = await open("hf://org/model");
    expect(source.size).toBe(bytes.length);
    const into = new Uint8Array(1000);
    for (const offset of [0, 5000, bytes.length - 1000]) {
      await source.read(offset, into);
      expect(into).toEqual(bytes.subarray(offset, offset + 1000));
    }
    expect(hub.transfers.filter(({ server }) => server === "hub")).toHaveLength(2);
    expect(hub.transfers.map(({ range }) => range)).not.toContain(undefined);
    expect(await read(source.at, 7, 9)).toEqual(bytes.subarray(7, 16));
  });

  test("an empty file is one", async () => {
    hub.put("m.gguf", bytes, large);
    hub.put("empty.txt", "");
    const { sibling } = await open("hf://org/model");
    expect((await sibling("empty.txt")).size).toBe(0);
  });

  test("a file that changes is noticed, on any thread", async () => {
    hub.put("m.gguf", bytes, large);
    const { source } = await open("hf://org/model");
    hub.state = "2";
    const changed = { code: "E_INPUT_CHANGED", message: "the file changed on the server" };
    await expect(source.read(0, new Uint8Array(4))).rejects.toMatchObject(changed);
    await expect(read(source.at, 0, 4)).rejects.toMatchObject(changed);
  });

  test("a busy hub is asked again", async () => {
    hub.put("m.gguf", bytes, large);
    let left = 0;
    const seen = new Set<string>();
    hub.fault = (request, response) => {
      const path = request.url!.replace(/\?.*/, "");
      if (!seen.has(path)) {
        seen.add(path);
        left = 2;
      }
      if (left-- <= 0) return false;
      if (left === 0) request.socket.destroy();
      else response.writeHead(429, { "retry-after": "0" }).end();
      return true;
    };
    expect(await chosen("hf://org/model")).toBe("m.gguf");
    expect(seen.size).toBeGreaterThan(3);
  });

  test("long lists come in pages", async () => {
    for (let i = 0; i < 9; i++) hub.put(`notes/${i}.txt`, "");
    hub.put("m.gguf", bytes, large);
    hub.page = 4;
    expect(await chosen("hf://org/model")).toBe("m.gguf");
  });

  test("names that are no paths are never asked for", async () => {
    for (const path of [
      "../../api/whoami-v2",
      "/etc/passwd",
      "a/../../b.gguf",
      "x\u0000.gguf",
      "a\\..\\b.gguf",
    ])
      hub.put(path, bytes);
    hub.put("m.gguf", bytes, large);
    expect(await chosen("hf://org/model")).toBe("m.gguf");
    expect(await refusal("hf://org/model/%2e%2e")).toMatchObject({ code: "E_HUB" });
    expect(
      hub.asked.every(({ path }) => /^\/(api\/models\/org\/model\/|org\/model\/|signed\/m\.gguf)/.test(path)),
    ).toBe(true);
  });

  test("a file that is not as large as it is listed", async () => {
    hub.put("m.gguf", bytes, { ...large, size: 7 });
    expect(await refusal("hf://org/model")).toMatchObject({
      code: "E_HUB",
      message: `the hub lists 7 bytes and offers ${bytes.length}`,
      at: { file: "hf://org/model/m.gguf" },
    });
  });

  test.each<[string, unknown]>([
    ["no list", { error: "what?" }],
    ["a file without a checksum", [{ type: "file", path: "a.gguf", size: 1 }]],
    ["a file of a negative size", [{ type: "file", path: "a.gguf", size: -1, oid: "0".repeat(40) }]],
    ["a file without a name", [{ type: "file", size: 1, oid: "0".repeat(40) }]],
  ])("an answer that is %s", async (_, answer) => {
    hub.fault = (request, response) => {
      if (!request.url!.includes("/tree/")) return false;
      response.writeHead(200, { "content-type": "application/json" }).end(JSON.stringify(answer));
      return true;
    };
    const error = await refusal("hf://org/model");
    expect(error).toMatchObject({ code: "E_HUB", at: { file: "hf://org/model" } });
    expect(error.message).toMatch(/^the hub's answer is not understood: /);
  });
});

describe("the token", () => {
  const secret = (): Access => ({ ...withToken(), token: "hf_wrong" });

  test("goes to the hub and to nobody else", async () => {
    hub.locked = "private";
    hub.put("m.gguf", bytes, large);
    const { source } = await open("hf://org/model", withToken);
    await read(source.at, 1000, 10);
    const of = (server: string) =>
      new Set(hub.asked.filter((each) => each.server === server).map(({ authorization }) => authorization));
    expect(of("hub")).toEqual(new Set([`Bearer ${TOKEN}`]));
    expect(of("cdn")).toEqual(new Set([undefined]));
  });

  test("is not followed to the next page on another server", async () => {
    hub.put("m.gguf", bytes, large);
    const elsewhere = hub.endpoint.replace("127.0.0.1", "localhost");
    hub.fault = (request, response) => {
      if (!request.url!.includes("/tree/") || request.url!.includes("cursor")) return false;
      response.setHeader("link", `<${elsewhere}${request.url}&cursor=0>; rel="next"`);
      response.writeHead(200, { "content-type": "application/json" }).end("[]");
      return true;
    };
    await open("hf://org/model", withToken);
    expect(hub.asked.find(({ path }) => path.includes("cursor"))?.authorization).toBeUndefined();
  });

  test.each<[string, "private" | "gated", () => Access, string, RegExp]>([
    [
      "is missing",
      "private",
      anonymous,
      "the hub answered 401: there is no such model, or it is private or gated",
      /set HF_TOKEN/,
    ],
    [
      "is missing for the content",
      "gated",
      anonymous,
      "the hub answered 401: there is no such model, or it is private or gated",
      /set HF_TOKEN/,
    ],
    [
      "is wrong",
      "private",
      secret,
      "the hub answered 401: it does not accept the token in HF_TOKEN, or there is no such model",
      /still valid/,
    ],
  ])("%s", async (_, locked, of, message, remedy) => {
    hub.locked = locked;
    hub.put("m.gguf", bytes, large);
    const error = await refusal("hf://org/model", of);
    expect(error).toMatchObject({ code: "E_HUB", message });
    expect(error.remedy).toMatch(remedy);
  });

  test("is of somebody who was not let in", async () => {
    hub.put("m.gguf", bytes, large);
    hub.fault = (request, response) => {
      if (!request.url!.includes("/resolve/")) return false;
      response.writeHead(403).end();
      return true;
    };
    expect(await refusal("hf://org/model", withToken)).toMatchObject({
      code: "E_HUB",
      message: "the hub answered 403: this account may not read the model",
      remedy: `Ask for access at ${hub.endpoint}/org/model.`,
    });
  });
});

test("what is not there", async () => {
  expect(await refusal("hf://org/model@nowhere")).toMatchObject({
    code: "E_HUB",
    message: "the hub answered 404: there is no such model, revision or file",
    at: { file: "hf://org/model@nowhere" },
  });
});

test("a hub that cannot be reached", async () => {
  const error = await refusal("hf://org/model", () => ({ endpoint: "http://127.0.0.1:1", patience }));
  expect(error).toMatchObject({
    code: "E_IO",
    remedy: "Check the network, and HF_ENDPOINT where it is set.",
  });
  expect(error.message).toMatch(/^the request failed: /);
});
