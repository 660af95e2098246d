import { expect, test } from "vitest";
import manifest from "../package.json" with { type: "json" };
import { createProgram } from "../src/program.js";
import { fewbit } from "./command-line.js";
import { temporaryFolder } from "./temporary.js";

const folder = temporaryFolder();
const world = {
  stdout: { write: () => true },
  stderr: { write: () => true },
  cwd: folder,
  signal: new AbortController().signal,
};
const commands = createProgram(world).commands.map((command) => command.name());

test("--version", async () => {
  expect(await fewbit(["--version"], folder)).toEqual({
    status: 0,
    stdout: `${manifest.version}\n`,
    stderr: "",
  });
});

test.each(["", ...commands])("fewbit %s --help shows its options and examples", async (name) => {
  const { status, stdout, stderr } = await fewbit([...(name === "" ? [] : [name]), "--help"], folder);
  expect({ status, stderr }).toEqual({ status: 0, stderr: "" });
  expect(stdout).toMatch(new RegExp(`^Usage: fewbit ${name}`));
  expect(stdout).toMatch(/\nExamples:\n {2}\$ fewbit /);
});

test("without a command, help goes where errors go", async () => {
  const { status, stdout, stderr } = await fewbit([], folder);
  expect({ status, stdout }).toEqual({ status: 2, stdout: "" });
  expect(stderr).toMatch(/^Usage: fewbit /);
  expect(stderr).toMatch(
    /\nerror\[E_USAGE\] No command is given\. Run "fewbit --help" to see what there is\.\n$/,
  );
});

test("an unknown command names the nearest", async () => {
  expect(await fewbit(["quantise", "x"], folder)).toEqual({
    status: 2,
    stdout: "",
    stderr:
      "error[E_USAGE] Unknown command 'quantise' (Did you mean quantize?). Run \"fewbit --help\" to see what there is.\n",
  });
});

test.each(["schemes", "recipes"])("fewbit %s lists what is registered", async (name) => {
  const people = await fewbit([name], folder);
  expect(people).toMatchObject({ status: 0, stderr: "" });
  const { [name]: list } = JSON.parse((await fewbit([name, "--json"], folder)).stdout) as Record<
    string,
    { id: string; bitsPerWeight: number | null; package: string }[]
  >;
  expect(list!.length).toBeGreaterThan(10);
  expect(people.stdout.trimEnd().split("\n")).toHaveLength(list!.length + 1);
  for (const { id, package: owner } of list!)
    expect(people.stdout).toMatch(new RegExp(`^${id} .*${owner} `, "m"));
  const q8 = list!.find(({ id }) => id === "Q8_0");
  expect(q8!.bitsPerWeight).toBe(8.5);
});
