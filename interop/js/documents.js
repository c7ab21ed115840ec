// The blocks of the documents, as they stand in them.
import { existsSync, readFileSync, readdirSync } from "node:fs";
import path from "node:path";
import { fileURLToPath } from "node:url";

export const root = fileURLToPath(new URL("../../", import.meta.url));

// documents are README.md, docs/ and the READMEs of the examples.
export const documents = () => [
  "README.md", "examples/README.md", ...readdirSync(path.join(root, "docs")).filter((name) => name.endsWith(".md")).map((name) => `docs/${name}`),
  ...readdirSync(path.join(root, "examples")).map((name) => `examples/${name}/README.md`).filter((file) => existsSync(path.join(root, file))),
];

// blocks returns the fenced blocks of a document: the comment above each, its language and text,
// and the terminals in which Ctrl-C is pressed before.
export function blocks(file) {
  const found = [];
  let block, mark = "", interrupts = [];
  for (const [i, line] of readFileSync(path.join(root, file), "utf8").split("\n").entries()) {
    const fence = /^\s*```(\w*)\s*$/.exec(line);
    const comment = /^\s*<!-- (.*) -->\s*$/.exec(line);
    if (!block && fence) {
      block = { file, line: i + 1, language: fence[1], mark, text: "", interrupts };
      interrupts = [];
    } else if (block && fence) {
      if (block.language === "text" && !block.mark && found.length) found.at(-1).output ??= block.text;
      found.push(block);
      block = undefined;
    } else if (block) block.text += line + "\n";
    if (comment) {
      mark = comment[1];
      if (mark.startsWith("interrupt: ")) interrupts.push(mark.split(", ")[1]);
    } else if (line.trim() && !block) mark = "";
  }
  return found;
}

// tested returns the blocks of a test, in the order of the document.
export function tested(file, name) {
  const found = blocks(file).filter((b) => b.mark === `test: ${name}`);
  if (!found.length) throw new Error(`${file} has no block <!-- test: ${name} -->`);
  return found;
}
