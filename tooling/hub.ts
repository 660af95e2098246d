// A hub on this machine: the endpoints that @huggingface/hub calls, and a second server that large files are led to.
import { createHash } from "node:crypto";
import {
  createServer,
  type IncomingMessage,
  type RequestListener,
  type Server,
  type ServerResponse,
} from "node:http";
import type { AddressInfo } from "node:net";
import { afterAll, beforeAll, beforeEach } from "vitest";

export const TOKEN = "hf_a-secret-that-nobody-should-see";
export const COMMIT = "c0ffee0000000000000000000000000000000001";

export interface Asked {
  readonly server: "hub" | "cdn";
  readonly path: string;
  readonly authorization: string | undefined;
  readonly range: string | undefined;
  readonly ifRange: string | undefined;
}

export interface Given {
  readonly bytes: Uint8Array;
  /** Stored as a large file: listed with a SHA-256, and led to the other server. */
  readonly large?: boolean;
  /** Listed in place of the right one. */
  readonly checksum?: string;
  readonly size?: number;
}

const sha = (kind: "sha1" | "sha256", ...parts: (string | Uint8Array)[]): string => {
  const hash = createHash(kind);
  for (const part of parts) hash.update(part);
  return hash.digest("hex");
};

/** `org/model` with these files; everything can be changed between two requests. */
export class TestHub {
  files = new Map<string, Given>();
  asked: Asked[] = [];
  /** Repositories answer to those with the token only: all requests, or those for content. */
  locked: "private" | "gated" | undefined;
  /** Part of every ETag. */
  state = "1";
  /** Tree entries of one page. */
  page = 1000;
  /** Answers in place of the server; true where it has. */
  fault: (request: IncomingMessage, response: ServerResponse, server: "hub" | "cdn") => boolean = () => false;
  readonly #hub = createServer((request, response) => this.#answer("hub", request, response));
  readonly #cdn = createServer((request, response) => this.#answer("cdn", request, response));

  async start(): Promise<void> {
    for (const server of [this.#hub, this.#cdn])
      await new Promise<void>((done) => server.listen(0, "127.0.0.1", done));
  }

  async stop(): Promise<void> {
    for (const server of [this.#hub, this.#cdn]) {
      server.closeAllConnections();
      await new Promise((done) => server.close(done));
    }
  }

  reset(): void {
    this.files = new Map();
    this.asked = [];
    this.locked = undefined;
    this.state = "1";
    this.page = 1000;
    this.fault = () => false;
  }

  put(path: string, content: string | Uint8Array, more: Omit<Given, "bytes"> = {}): void {
    const bytes = typeof content === "string" ? new TextEncoder().encode(content) : content;
    this.files.set(path, { bytes, ...more });
  }

  get endpoint(): string {
    return addressOf(this.#hub);
  }

  /** Requests for content, in order. */
  get transfers(): readonly Asked[] {
    return this.asked.filter(({ path }) => !path.startsWith("/api/"));
  }

  #answer(server: "hub" | "cdn", request: IncomingMessage, response: ServerResponse): unknown {
    const { authorization, range, "if-range": ifRange } = request.headers;
    this.asked.push({
      server,
      path: request.url!,
      authorization,
      range,
      ifRange: ifRange as string | undefined,
    });
    if (this.fault(request, response, server)) return;
    const url = new URL(request.url!, "http://host");
    const path = url.pathname.split("/").map(decodeURIComponent);
    if (server === "cdn") return this.#content(path.slice(2).join("/"), request, response);
    const allowed = authorization === `Bearer ${TOKEN}`;
    if (authorization !== undefined && !allowed) return refuse(response, 401);
    const [, first, second] = path;
    const repository = first === "api" ? path.slice(3, 5).join("/") : path.slice(1, 3).join("/");
    if (repository !== "org/model" || (this.locked === "private" && !allowed)) return refuse(response, 401);
    if (first === "api" && second === "models" && path[5] === "revision")
      return ["main", "refs/pr/7", COMMIT].includes(path[6]!)
        ? json(response, { _id: "1", id: "org/model", sha: COMMIT })
        : refuse(response, 404);
    if (first === "api" && second === "models" && path[5] === "tree" && path[6] === COMMIT)
      return this.#tree(url, response);
    if (path[3] !== "resolve" || path[4] !== COMMIT) return refuse(response, 404);
    if (this.locked === "gated" && !allowed) return refuse(response, authorization === undefined ? 401 : 403);
    const name = path.slice(5).join("/");
    const file = this.files.get(name);
    if (file === undefined) {
      response.setHeader("x-error-code", "EntryNotFound");
      return refuse(response, 404);
    }
    if (file.large)
      return response
        .writeHead(302, {
          location: `${addressOf(this.#cdn)}/signed/${name.split("/").map(encodeURIComponent).join("/")}?signature=${this.state}`,
          "x-linked-size": file.bytes.length,
          "x-repo-commit": COMMIT,
        })
        .end();
    return this.#content(name, request, response);
  }

  #tree(url: URL, response: ServerResponse): unknown {
    const from = Number(url.searchParams.get("cursor") ?? 0);
    const all = [...this.files].map(([path, { bytes, large, checksum, size }]) => ({
      type: "file",
      path,
      size: size ?? bytes.length,
      oid: (!large && checksum) || sha("sha1", `blob ${bytes.length}\0`, bytes),
      ...(large
        ? { lfs: { oid: checksum ?? sha("sha256", bytes), size: size ?? bytes.length, pointerSize: 130 } }
        : {}),
    }));
    if (from + this.page < all.length) {
      url.searchParams.set("cursor", String(from + this.page));
      response.setHeader("link", `<${this.endpoint}${url.pathname}${url.search}>; rel="next"`);
    }
    return json(response, [
      { type: "directory", path: "folder", size: 0, oid: "0" },
      ...all.slice(from, from + this.page),
    ]);
  }

  #content(name: string, request: IncomingMessage, response: ServerResponse): unknown {
    const bytes = this.files.get(name)?.bytes;
    if (bytes === undefined) return refuse(response, 404);
    const etag = `"${this.state}-${sha("sha1", name)}"`;
    const range = /^bytes=(\d+)-(\d*)$/.exec(request.headers.range ?? "");
    const condition = request.headers["if-range"];
    response.setHeader("etag", etag);
    response.setHeader("accept-ranges", "bytes");
    if (range === null || (condition !== undefined && condition !== etag)) {
      return response.writeHead(200, { "content-length": bytes.length }).end(bytes);
    }
    const from = Number(range[1]);
    if (from >= bytes.length) return refuse(response, 416);
    const to = Math.min(range[2] === "" ? Number.POSITIVE_INFINITY : Number(range[2]), bytes.length - 1);
    return response
      .writeHead(206, {
        "content-range": `bytes ${from}-${to}/${bytes.length}`,
        "content-length": to - from + 1,
      })
      .end(bytes.subarray(from, to + 1));
  }
}

const addressOf = (server: Server): string => `http://127.0.0.1:${(server.address() as AddressInfo).port}`;

function json(response: ServerResponse, value: unknown): unknown {
  return response.writeHead(200, { "content-type": "application/json" }).end(JSON.stringify(value));
}

function refuse(response: ServerResponse, status: number): unknown {
  return response
    .writeHead(status, { "content-type": "application/json" })
    .end(JSON.stringify({ error: "\u001b[31mwords of a server" }));
}

/** A hub for one test file, as new before each test. */
export function testHub(): TestHub {
  const hub = new TestHub();
  beforeAll(() => hub.start());
  afterAll(() => hub.stop());
  beforeEach(() => hub.reset());
  return hub;
}

/** Time in which a busy client takes what was sent: of a connection that breaks, it drops what it has not taken. */
const TAKING = 200;

/** Sends the first bytes of a range and hangs up. */
export function cutAfter(bytes: Uint8Array, count: number): (...given: Parameters<RequestListener>) => void {
  return (request, response) => {
    const from = Number(/bytes=(\d+)/.exec(request.headers.range ?? "")?.[1] ?? 0);
    response.writeHead(request.headers.range === undefined ? 200 : 206, {
      "content-length": bytes.length - from,
      etag: '"cut"',
      ...(request.headers.range === undefined
        ? {}
        : { "content-range": `bytes ${from}-${bytes.length - 1}/${bytes.length}` }),
    });
    response.write(bytes.subarray(from, from + count), () =>
      setTimeout(() => request.socket.destroy(), TAKING),
    );
  };
}

/** Bytes that repeat nowhere near. */
export const noise = (count: number): Uint8Array =>
  Uint8Array.from({ length: count }, (_, i) => (Math.imul(i + 1, 2654435761) >>> 13) & 0xff);
