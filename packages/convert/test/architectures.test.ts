// What comes out of a checkpoint, against what llama.cpp's own converter made of the same one: `fixtures/` lists the
// keys, types and values of its files, and names, types, shapes and hashes of their tensors.
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
import { afterAll, describe, expect, it } from "vitest";
import { convert } from "../src/convert.js";
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

/** As a view, whether it is computed or stored. */
function viewOf({ name, dtype, shape, offset, bytes }: TensorInfo, from: Locator): View {
  return from.kind === "view" ? from.view : stored({ name, from, dtype, shape, offset, bytes });
}

/** The tensor as an F32 file has it: as float32 unless it is packed. */
async function listed(model: Model, tensor: TensorInfo): Promise<Fixture["tensors"][number]> {
  const view = viewOf(tensor, model.files[tensor.file]!);
  const plain = view.dtype === "MXFP4" ? view : float32(view);
  const bytes = new Uint8Array(plain.bytes);
  await readView(plain, 0, bytes, (from, offset, into) => io.read(from, offset, into));
  const sha256 = createHash("sha256").update(bytes).digest("hex").slice(0, 16);
  return [tensor.name, plain.dtype, [...plain.shape], sha256];
}

/** Entries of the architecture; those of the model's name and of its tokenizer have tests of their own. */
const ofArchitecture = (metadata: Fixture["metadata"]): Fixture["metadata"] =>
  metadata.filter(([key]) => key === "general.architecture" || !/^(general|tokenizer)\./.test(key));

describe.each(models.map((tiny) => [tiny.name, tiny] as const))("%s", (name, tiny) => {
  const fixture = fixtureOf(name);

  it("has the keys, types and values that llama.cpp's converter writes", async () => {
    const { metadata } = await convert(await checkpointIn(folder, tiny), registry);
    const entries = metadata.map(({ key, type, value }) => [
      key,
      type,
      type === "f32" ? Math.fround(value as number) : value,
    ]);
    expect(ofArchitecture(entries as unknown as Fixture["metadata"])).toEqual(
      ofArchitecture(fixture.metadata),
    );
  });

  it("has the tensors that llama.cpp's converter writes, in its order and to the last bit", async () => {
    const model = await convert(await checkpointIn(folder, tiny), registry);
    const tensors = await Promise.all(model.tensors.map((tensor) => listed(model, tensor)));
    expect(tensors).toEqual(fixture.tensors);
  });
});
