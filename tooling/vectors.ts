// Writes test/vectors.json of a scheme package: `tsx ../../tooling/vectors.ts Q4_0 Q8_0 …` in its folder, followed by
// the ids whose encoder takes an importance matrix after `--weighted`.
import { writeFileSync } from "node:fs";
import { importanceCases, makeImportance, makeRows, weightCases } from "./cases.js";
import { type GgmlType, oracleEncode } from "./oracle.js";
import { hash, vectorShape } from "./vector-shape.js";

const args = process.argv.slice(2);
const split = args.indexOf("--weighted");
const ids = split < 0 ? args : args.slice(0, split);
const weighted = new Set(split < 0 ? [] : args.slice(split + 1));
const { rows, columns } = vectorShape;

const vectors: Record<string, Record<string, string>> = {};
for (const id of [...new Set([...ids, ...weighted])] as GgmlType[]) {
  const hashes: Record<string, string> = {};
  for (const name of Object.keys(weightCases)) {
    const weights = makeRows(name, rows, columns);
    if (ids.includes(id)) hashes[name] = hash(oracleEncode(id, weights, columns));
    if (!weighted.has(id)) continue;
    for (const importance of Object.keys(importanceCases))
      hashes[`${name} + ${importance}`] = hash(
        oracleEncode(id, weights, columns, makeImportance(importance, columns)),
      );
  }
  vectors[id] = hashes;
}
writeFileSync("test/vectors.json", `${JSON.stringify(vectors, null, 1)}\n`);
