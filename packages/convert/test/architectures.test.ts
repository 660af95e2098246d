// What comes out of a checkpoint, against what llama.cpp's own converter made of the same one: `fixtures/` lists the
// keys, types and values of its files in F32, and names, types, shapes and hashes of their tensors.
import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import {
  float32,
  type Locator,
  type Model,
  readView,
  stored,
  type TensorInfo,
  type View,
} from "@fewbit/core";
import { nodeIo } from "@fewbit/core/node";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { convert } from "../src/convert.js";
import { outtypeRecipe } from "../src/outtype.js";
import { checkpointIn, registry, temporaryFolder } from "./tiny/folder.js";
import { models } from "./tiny/models.js";

interface Fixture {
  readonly metadata: readonly (readonly [key: string, type: string, value: unknown])[];
  readonly tensors: readonly (readonly [name: string, dtype: string, shape: number[], sha256: string])[];
}

const fixtureOf = (name: string): Fixture =>
  JSON.parse(readFileSync(new URL(`fixtures/${name}.json`, import.meta.url), "utf8"));

const io = nodeIo();
afterAll(() => io.close());
const folder = temporaryFolder();

const sha256 = (data: Uint8Array | string): string =>
  createHash("sha256").update(data).digest("hex").slice(0, 16);

/** As a view, whether it is computed or stored. */
const viewOf = ({ name, dtype, shape, offset, bytes }: TensorInfo, from: Locator): View =>
  from.kind === "view" ? from.view : stored({ name, from, dtype, shape, offset, bytes });

/** The tensor as an F32 file has it: as float32 unless it is packed. */
async function tensorOf(model: Model, tensor: TensorInfo): Promise<Fixture["tensors"][number]> {
  const view = viewOf(tensor, model.files[tensor.file]!);
  const plain = view.dtype === "MXFP4" ? view : float32(view);
  const bytes = new Uint8Array(plain.bytes);
  await readView(plain, 0, bytes, (from, offset, into) => io.read(from, offset, into));
  return [tensor.name, plain.dtype, [...plain.shape], sha256(bytes)];
}

/** Long lists as a fixture has them. */
const listedValue = (type: string, value: unknown): unknown =>
  Array.isArray(value) && value.length > 16
    ? { length: value.length, sha256: sha256(JSON.stringify(value)) }
    : type === "f32"
      ? Math.fround(value as number)
      : value;

/**
 * Apart from the name of the pre-tokenizer, which the converter finds by the tokens of a large vocabulary only, and
 * from the place of the one key that it writes before those of the model's name.
 */
function comparable(metadata: Fixture["metadata"]): Fixture["metadata"] {
  const [early, others] = [true, false].map((wanted) =>
    metadata.filter(([key]) => key.endsWith(".rope.scaling.attn_factor") === wanted),
  );
  return [...early!, ...others!.filter(([key]) => key !== "tokenizer.ggml.pre")];
}

describe.each(models.map((tiny) => [tiny.name, tiny] as const))("%s", (name, tiny) => {
  const fixture = fixtureOf(name);
  let model: Model;
  beforeAll(async () => {
    model = await convert(await checkpointIn(folder, tiny), registry);
  });

  it("has the keys, types and values that llama.cpp's converter writes, in its order", () => {
    const metadata = outtypeRecipe("F32").metadata!(model, { options: {} });
    const entries = metadata.map(({ key, type, value }) => [key, type, listedValue(type, value)] as const);
    expect(comparable(entries)).toEqual(comparable(fixture.metadata));
  });

  it("has the tensors that llama.cpp's converter writes, in its order and to the last bit", async () => {
    const tensors = await Promise.all(model.tensors.map((tensor) => tensorOf(model, tensor)));
    expect(tensors).toEqual(fixture.tensors);
  });
});
