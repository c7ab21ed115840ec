// The READMEs of the examples that need packages of npm or PyPI: each block as it stands there, but
// for the ports and the way to run the broker, and its output.
import assert from "node:assert/strict";
import { cpSync, mkdirSync, mkdtempSync, readFileSync, readdirSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import os from "node:os";
import path from "node:path";
import { test } from "node:test";
import { freePort } from "./broker.js";
import { launch } from "./browser.js";
import { blocks, root } from "./documents.js";
import { Terminals } from "./terminals.js";

// follow runs the blocks of a README in a checkout that has the example alone, and then what
// is to be done while its programs run.
async function follow(name, then = () => {}) {
  const folder = mkdtempSync(path.join(os.tmpdir(), "stompbox-readme-"));
  const example = path.join(folder, "examples", name);
  cpSync(path.join(root, "examples", name), example, { recursive: true, filter: (file) => !/\/(node_modules|dist|stompbox-data|\.venv)$|\.secret$|\/(cookies|last-event-id)\.txt$/.test(file) });
  mkdirSync(path.join(folder, "bin"));
  symlinkSync(path.join(root, "bin/stompbox"), path.join(folder, "bin/stompbox"));
  const ports = {};
  for (const port of ["8080", "8092", "5173", "61613"]) ports[port] = String(await freePort());
  const moved = (text) => text.replaceAll(/\b(8080|8092|5173|61613)\b/g, (port) => ports[port]);
  for (const file of readdirSync(example, { recursive: true, withFileTypes: true })) {
    const at = path.join(file.parentPath ?? file.path, file.name);
    if (file.isFile() && file.name !== "package-lock.json") writeFileSync(at, moved(readFileSync(at, "utf8")));
  }
  const broker = path.join(folder, "bin/stompbox");
  const typed = (text) => moved(text)
    .replaceAll("go build -o bin/stompbox ./cmd/stompbox", "true")
    .replaceAll("go run ./cmd/stompbox serve --dev", `${broker} serve --dev --http 127.0.0.1:${ports[8080]}`)
    .replaceAll(/go run \.\/cmd\/stompbox (send|request|queue peek)/g, `${broker} $1 --url ws://127.0.0.1:${ports[8080]}/ws`);
  const terminals = new Terminals(folder, { ...process.env, npm_config_prefer_offline: "true", npm_config_audit: "false", npm_config_fund: "false" });
  const run = async (block) => {
    const options = block.mark.split(", ").slice(1);
    const terminal = options.find((option) => option.startsWith("terminal ")) ?? "terminal 1";
    const where = `${block.file}:${block.line}`;
    for (const other of block.interrupts) await terminals.interrupt(other);
    if (block.mark.startsWith("prints: ")) await terminals.prints(terminal, moved(block.text), where);
    else await terminals.run(terminal, typed(block.text), block.output && moved(block.output), options.includes("stays"), where);
  };
  try {
    const all = blocks(`examples/${name}/README.md`).filter((block) => /^(test|prints): example\b/.test(block.mark));
    assert.ok(all.length > 2, "the blocks were not found");
    for (const block of all) await run(block);
    await then({ ports, terminals, restart: () => run(all[0]) });
  } finally {
    await terminals.close();
    rmSync(folder, { recursive: true, force: true });
  }
}

test("examples/node: its README", () => follow("node"));
test("examples/python: its README", () => follow("python"));
test("examples/work-queue: its README", () => follow("work-queue"));
test("examples/history: its README", () => follow("history"));
test("examples/private-messages: its README", () => follow("private-messages"));
test("examples/tokens: its README", () => follow("tokens"));

test("examples/react: its README, and its page in a browser, over a restart of the broker", () => follow("react", async ({ ports, terminals, restart }) => {
  const browser = await launch();
  try {
    const problems = [];
    const open = async (user) => {
      const page = await (await browser.newContext()).newPage();
      page.setDefaultTimeout(60_000);
      page.on("pageerror", (e) => problems.push(e));
      await page.goto(`http://127.0.0.1:${ports[5173]}/?user=${user}`);
      await page.waitForSelector("[role=status]:has-text('connected')");
      return page;
    };
    const says = async (page, words) => { await page.fill("input", words); await page.click("text=Send"); };
    const sees = (page, words) => page.waitForSelector(`li:text-is(${JSON.stringify(words)})`);
    const alice = await open("alice"), bob = await open("bob");
    await says(alice, "hello");
    await sees(alice, "alice: hello");
    await sees(bob, "alice: hello");
    await terminals.interrupt("terminal 1");
    await alice.waitForSelector("[role=status]:has-text('connecting')");
    await says(alice, "while it was away");
    await restart();
    await sees(bob, "alice: while it was away");
    await sees(alice, "alice: while it was away");
    await bob.click("text=kitchen");
    await bob.waitForSelector("h1:text-is('bob in the kitchen')");
    await says(bob, "in here?");
    await sees(bob, "bob: in here?");
    assert.equal(await alice.locator("li").count(), 2, "another room");
    await alice.click("text=kitchen");
    await sees(alice, "bob: in here?");
    assert.equal(await alice.locator("li").count(), 1, "the room that is shown");
    await alice.click("text=lobby");
    await sees(alice, "alice: while it was away");
    assert.equal(await alice.locator("li").count(), 2, "nothing twice");
    assert.deepEqual(problems, []);
  } finally {
    await browser.close();
  }
}));
