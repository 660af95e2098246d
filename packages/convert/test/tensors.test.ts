import type { Architecture, Config, Model, TensorRule } from "@fewbit/core";
import { stack } from "@fewbit/core";
import { describe, expect, test } from "vitest";
import { readConfig } from "../src/config.js";
import { mapTensors } from "../src/tensors.js";

type Shapes = Readonly<Record<string, readonly number[]>>;

/** A checkpoint of these shapes, a file for each list. */
function modelOf(...files: readonly Shapes[]): Model {
  return {
    format: "safetensors",
    metadata: [],
    warnings: [],
    files: files.map((_, i) => ({ kind: "file", path: `${i}.safetensors` })),
    tensors: files.flatMap((shapes, file) =>
      Object.entries(shapes).map(([name, shape]) => {
        const bytes = shape.reduce((a, b) => a * b, 2);
        return { name, shape, dtype: "BF16", file, offset: 8, bytes };
      }),
    ),
  };
}

const configOf = (more: object = {}): Config =>
  readConfig(new TextEncoder().encode(JSON.stringify({ num_hidden_layers: 2, ...more })), "config.json");

const toy = (tensors: readonly TensorRule[], more: Partial<Architecture> = {}): Architecture => ({
  id: "toy",
  summary: "",
  classes: ["Toy"],
  tensors: () => tensors,
  ...more,
});

const map = (model: Model, rules: readonly TensorRule[], more: Partial<Architecture> = {}, config = {}) =>
  mapTensors(model, toy(rules, more), configOf(config));
const names = (...given: Parameters<typeof map>): string[] => map(...given).map(({ name }) => name);

const layer: TensorRule = { from: "layers.{bid}.w", to: "blk.{bid}.w.weight", shape: [4, 2] };

test("rules hold for every layer, and tensors come in the order of files and names", () => {
  const rules: TensorRule[] = [
    { from: "z", to: "z.weight" },
    layer,
    { from: "computed", layers: [0] },
    {
      from: [],
      to: "made.weight",
      make: ([none]) =>
        none ?? { op: "constant", dtype: "F32", shape: [1], bytes: 4, data: new Uint8Array(4) },
    },
  ];
  const model = modelOf({ z: [2, 2], "layers.1.w": [4, 2], computed: [1] }, { "layers.0.w": [4, 2] });
  expect(names(model, rules)).toEqual(["made.weight", "blk.1.w.weight", "z.weight", "blk.0.w.weight"]);
});

test("names are ordered by code points, as Python does", () => {
  const rules = ["\u{1f600}", "\uff5e", "a10", "a2", "a"].map((from) => ({ from, to: `${from}.weight` }));
  const model = modelOf(Object.fromEntries(rules.map(({ from }) => [from, [2, 2]])));
  expect(names(model, rules)).toEqual(
    ["a", "a10", "a2", "\uff5e", "\u{1f600}"].map((name) => `${name}.weight`),
  );
});

test("experts are stacked in their order where the last of the layer is met", () => {
  const experts = Array.from({ length: 11 }, (_, i) => i);
  const rules: TensorRule[] = ["up", "down"].map((name) => ({
    from: `layers.{bid}.e.{xid}.${name}`,
    to: `blk.{bid}.${name}_exps.weight`,
    experts: 11,
    make: stack,
    shape: [11, 3, 2],
  }));
  const model = modelOf(
    {
      ...Object.fromEntries(
        experts.flatMap((x) => [
          [`layers.0.e.${x}.up`, [3, 2]],
          [`layers.0.e.${x}.down`, [3, 2]],
        ]),
      ),
      "layers.0.f": [2, 2],
    },
    { between: [2, 2] },
  );
  const mapped = map(model, [
    ...rules.map((rule) => ({ ...rule, layers: [0] })),
    { from: "layers.0.f", to: "f.weight" },
    { from: "between", to: "b.weight" },
  ]);
  expect(mapped.map(({ name }) => name)).toEqual([
    "blk.0.up_exps.weight",
    "blk.0.down_exps.weight",
    "f.weight",
    "b.weight",
  ]);
  const { view } = mapped[0]!;
  if (view.op !== "concat") throw new Error("not stacked");
  expect(view.of.map((each) => each.op === "reshape" && each.of.op === "stored" && each.of.name)).toEqual(
    experts.map((x) => `layers.0.e.${x}.up`),
  );
});

test("vectors, norms and what is no weight are float32 whatever they are stored as", () => {
  const rules = ["norm", "bias", "vector", "matrix"].map((from) => ({
    from,
    to: { norm: "a_norm.weight", bias: "b.bias", vector: "c.weight", matrix: "d.weight" }[from]!,
  }));
  const model = modelOf({ norm: [2, 2], bias: [2, 2], vector: [2], matrix: [2, 2] });
  expect(map(model, rules).map(({ name, view }) => [name, view.dtype])).toEqual([
    ["b.bias", "F32"],
    ["d.weight", "BF16"],
    ["a_norm.weight", "F32"],
    ["c.weight", "F32"],
  ]);
});

test("tables that are computed from settings are no part of any model", () => {
  const model = modelOf({
    w: [2, 2],
    "layers.0.rotary_emb.inv_freq": [4],
    "h.0.attention.bias": [1, 1, 4, 4],
  });
  expect(names(model, [{ from: "w", to: "w.weight" }])).toEqual(["w.weight"]);
});

test("other spellings are brought to one, other parts left out", () => {
  const rename = (name: string) => (name.startsWith("vision.") ? undefined : name.replace(/^model\./, ""));
  const model = modelOf({ "model.w": [2, 2], "vision.w": [2, 2] });
  expect(names(model, [{ from: "w", to: "w.weight" }], { rename })).toEqual(["w.weight"]);
});

describe("of several optional rules for one tensor", () => {
  const rules: TensorRule[] = [
    { from: "new.{bid}", to: "blk.{bid}.w.weight", optional: true },
    { from: ["old.{bid}.a", "old.{bid}.b"], to: "blk.{bid}.w.weight", optional: true, make: stack },
  ];

  test("one is enough", () => {
    const model = modelOf({ "new.0": [2, 2], "old.1.a": [2], "old.1.b": [2] });
    expect(names(model, rules)).toEqual(["blk.0.w.weight", "blk.1.w.weight"]);
  });

  test("none is an error", () => {
    expect(() => map(modelOf({ "new.0": [2, 2], other: [1] }), [...rules, { from: "other" }])).toThrow(
      "The checkpoint lacks a tensor that its 2 layers need: new.1.",
    );
  });

  test("half of one is an error", () => {
    const model = modelOf({ "new.0": [2, 2], "old.1.a": [2] });
    expect(() => map(model, rules)).toThrow("The checkpoint lacks a tensor that its 2 layers need: old.1.b.");
  });
});

describe("refused", () => {
  const whole = { "layers.0.w": [4, 2], "layers.1.w": [4, 2] };
  test.each<[string, Model, readonly TensorRule[], object, object]>([
    [
      "The checkpoint lacks a tensor that its 2 layers need: layers.1.w.",
      modelOf({ "layers.0.w": [4, 2], x: [1] }),
      [layer, { from: "x" }],
      {},
      { tensor: "layers.1.w", file: "0.safetensors" },
    ],
    [
      "The checkpoint lacks 5 tensors that its 6 layers need: layers.1.w, layers.2.w, layers.3.w, layers.4.w and 1 more.",
      modelOf({ "layers.0.w": [4, 2], a: [1], b: [1], c: [1], d: [1], e: [1] }),
      [layer, { from: "a" }, { from: "b" }, { from: "c" }, { from: "d" }, { from: "e" }],
      { num_hidden_layers: 6 },
      { tensor: "layers.1.w", file: "0.safetensors" },
    ],
    [
      "The checkpoint holds a tensor that toy has no place for: layers.1.extra.",
      modelOf(whole, { "layers.1.extra": [3] }),
      [layer],
      {},
      { tensor: "layers.1.extra", file: "1.safetensors" },
    ],
    [
      "layers.1.w gives blk.1.w.weight the shape [2 × 4]; the settings ask for [4 × 2].",
      modelOf({ ...whole, "layers.1.w": [2, 4] }),
      [layer],
      {},
      { tensor: "layers.1.w", file: "0.safetensors" },
    ],
    [
      "The tensor holds nothing: its shape is [1000000000 × 0].",
      modelOf({ ...whole, "layers.1.w": [1e9, 0] }),
      [layer],
      {},
      { tensor: "layers.1.w", file: "0.safetensors" },
    ],
    [
      "layers.0.w and layers.1.w both become w.weight.",
      modelOf(whole),
      [
        { from: "layers.0.w", to: "w.weight" },
        { from: "layers.1.w", to: "w.weight" },
      ],
      {},
      { tensor: "w.weight" },
    ],
    [
      "BF16 [2 × 4] cannot be joined to BF16 [4 × 2]."
        .replace("[2 × 4]", "[1 × 2 × 4]")
        .replace("[4 × 2]", "[1 × 4 × 2]"),
      modelOf({ ...whole, "layers.1.w": [2, 4] }),
      [{ from: ["layers.0.w", "layers.1.w"], to: "w.weight", make: stack }],
      {},
      { tensor: "layers.0.w", file: "0.safetensors" },
    ],
    [
      "The settings ask for 1000000000 layers, and the checkpoint has 2 tensors in all.",
      modelOf(whole),
      [layer],
      { num_hidden_layers: 1e9 },
      { key: "num_hidden_layers", file: "config.json" },
    ],
  ])("%s", (message, model, rules, config, at) => {
    expect(() => map(model, rules, {}, config)).toThrow(
      expect.objectContaining({ code: "E_CHECKPOINT", message, at, remedy: expect.stringMatching(/\.$/) }),
    );
  });

  test("more experts than tensors, without counting them", () => {
    const rules: TensorRule[] = [
      { from: "layers.{bid}.e.{xid}", to: "blk.{bid}.e_exps.weight", experts: 4e9, make: stack },
    ];
    expect(() => map(modelOf({ "layers.0.e.0": [2], "layers.1.e.0": [2] }), rules)).toThrow(
      "The settings ask for 4000000000 experts, and the checkpoint has 2 tensors in all.",
    );
    expect(() => map(modelOf({ x: [2], y: [2] }), rules)).toThrow(
      "The checkpoint lacks 2 tensors that its 2 layers need: layers.0.e.0, layers.1.e.0.",
    );
  });

  test("two spellings of one tensor", () => {
    const rename = (name: string) => name.replace("model.", "");
    expect(() =>
      map(modelOf({ "model.w": [2, 2], w: [2, 2] }), [{ from: "w", to: "w.weight" }], { rename }),
    ).toThrow("model.w and w are the same tensor, w.");
  });
});
