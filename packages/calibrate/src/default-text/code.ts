import type { Bank, Chooser } from "./template.js";

const bank: Bank = {
  noun: ["order", "user", "event", "file", "token", "invoice", "sensor", "message", "account", "vector", "job", "page"],
  plural: ["orders", "users", "events", "files", "tokens", "invoices", "sensors", "messages", "accounts", "jobs"],
  field: ["name", "price", "size", "status", "created_at", "weight", "owner", "score", "count", "label"],
  verb: ["load", "parse", "merge", "filter", "count", "validate", "store", "render", "encode", "sort"],
  op: ["+", "-", "*"],
  compare: ["<", ">", "<=", ">=", "=="],
  status: ["open", "closed", "pending", "failed", "done"],
}; // biome-ignore format: lists of words

const programs = [
  `def {verb}_{plural}({plural}, limit={10-500}):
    """Return the {plural} whose {field} is {compare} limit."""
    result = []
    for index, {noun} in enumerate({plural}):
        if {noun}["{field}"] {compare} limit:
            result.append(({noun}["{field}"] {op} {1-9}, index))
    return sorted(result, reverse=True)


if __name__ == "__main__":
    print({verb}_{plural}([{"{field}": {1-900}}, {"{field}": {1-900}}]))`,
  `export interface Item {
  readonly id: number;
  {field}: string;
  status: "{status}" | "archived";
}

export async function {verb}All(items: Item[], limit = {2-64}): Promise<Map<number, Item>> {
  const found = new Map<number, Item>();
  for (const item of items.slice(0, limit)) {
    if (item.status === "archived") continue; // nothing to do
    found.set(item.id, { ...item, {field}: item.{field}.trim() });
  }
  return found;
}`,
  `#include <stdio.h>
#include <stdlib.h>

static int {verb}_{noun}(const int *values, size_t count) {
    int total = 0;
    for (size_t i = 0; i < count; i++) {
        total {op}= values[i] % {3-97};
    }
    return total;
}

int main(void) {
    int values[] = { {1-99}, {1-99}, {1-99}, {1-99} };
    printf("%d\\n", {verb}_{noun}(values, sizeof values / sizeof values[0]));
    return EXIT_SUCCESS;
}`,
  `use std::collections::HashMap;

/// Counts how often each {noun} occurs.
pub fn {verb}({plural}: &[String]) -> HashMap<&str, usize> {
    let mut counts = HashMap::with_capacity({8-512});
    for {noun} in {plural} {
        *counts.entry({noun}.as_str()).or_insert(0) += {1-3};
    }
    counts
}

#[test]
fn is_empty_for_nothing() {
    assert!({verb}(&[]).is_empty());
}`,
  `SELECT u.id, u.{field}, COUNT(*) AS {plural}, SUM(x.amount) AS total
FROM users AS u
JOIN {plural} AS x ON x.user_id = u.id
WHERE x.status = '{status}' AND x.amount {compare} {10-900}
GROUP BY u.id, u.{field}
HAVING COUNT(*) > {1-20}
ORDER BY total DESC
LIMIT {5-100};`,
  `#!/bin/sh
set -eu
for file in "$1"/*.{noun}; do
  [ -e "$file" ] || continue
  lines=$(wc -l < "$file")
  if [ "$lines" -gt {10-900} ]; then
    echo "$file has $lines lines" >&2
    gzip -9 "$file"
  fi
done`,
  `{
  "name": "{noun}-{verb}",
  "version": "{0-9}.{0-30}.{0-9}",
  "{plural}": [
    { "id": {1-9999}, "{field}": "{status}", "active": true },
    { "id": {1-9999}, "{field}": null, "active": false }
  ],
  "limits": { "cpu": 0.{1-9}, "memory": "{1-64}Gi", "retries": {1-9} }
}`,
  `services:
  {noun}:
    image: registry.example/{noun}:{1-9}.{0-20}
    ports: ["{3000-9999}:80"]
    environment:
      MODE: {status}
      MAX_{1-9}: "{10-900}"
    depends_on: [{noun}-db]`,
  `<section class="{noun}" id="{noun}-{1-99}">
  <h2>All {plural}</h2>
  <ul>
    <li data-{noun}="{1-999}"><a href="/{plural}/{1-999}">{status}</a></li>
    <li data-{noun}="{1-999}">no {field}</li>
  </ul>
</section>
<style>
  .{noun} > ul { display: grid; gap: {4-32}px; color: #{100-999}; }
</style>`,
  `diff --git a/src/{noun}.py b/src/{noun}.py
@@ -{1-90},6 +{1-90},7 @@ def {verb}({plural}):
     total = 0
     for {noun} in {plural}:
-        total += {noun}.{field}
+        if {noun}.{field} is not None:
+            total += {noun}.{field}
     return total`,
  `Traceback (most recent call last):
  File "main.py", line {10-300}, in <module>
    {verb}_{noun}({plural})
  File "{noun}.py", line {10-300}, in {verb}_{noun}
    return {plural}[{1-40}].{field}
IndexError: list index out of range`,
];

/** A program, a query, a configuration or what one of them prints. */
export function code(chooser: Chooser): string {
  const program = chooser.of(programs);
  // One choice of words for a whole program: what is defined is also used.
  const words = Object.fromEntries(Object.entries(bank).map(([kind, list]) => [kind, [chooser.of(list)]]));
  return chooser.fill(program, words);
}
