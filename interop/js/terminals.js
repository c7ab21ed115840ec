// Shells in which the blocks of a document run in their order, as a reader would type them.
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { readFileSync } from "node:fs";
import { sleep } from "./broker.js";

const patience = 90_000;

export class Terminals {
  #folder; #env;
  #all = new Map();

  constructor(folder, env) {
    this.#folder = folder;
    this.#env = env;
  }

  #terminal(name) {
    let t = this.#all.get(name);
    if (t) return t;
    t = { printed: "", count: 0, from: 0 };
    t.shell = spawn("bash", ["--noprofile", "--norc"], { cwd: this.#folder, env: this.#env, detached: true, stdio: ["pipe", "pipe", "pipe"] });
    t.ended = new Promise((resolve) => t.shell.once("exit", resolve));
    for (const stream of [t.shell.stdout, t.shell.stderr]) stream.on("data", (d) => { t.printed += d; });
    this.#all.set(name, t);
    return t;
  }

  // run has a block run, to its end unless it stays, and wants its output.
  async run(name, text, output, stays, where) {
    const t = this.#terminal(name);
    const done = new RegExp(`^block ${++t.count} ended with (\\d+)$`, "m");
    t.from = t.printed.length;
    t.shell.stdin.write(`${text}\necho block ${t.count} ended with $?\n`);
    for (const deadline = Date.now() + patience; ;) {
      const said = t.printed.slice(t.from);
      const end = done.exec(said);
      if (end) {
        assert.ok(!stays, `${where} ended: ${said}`);
        assert.equal(end[1], "0", `${where}: ${said}`);
        assert.equal(missing(said, output), undefined, `${where} printed something else: ${said}`);
        return;
      }
      if (stays && output && missing(said, output) === undefined) return;
      assert.ok(Date.now() < deadline, `${where}: ${missing(said, output)} is missing in ${said}`);
      await sleep(20);
    }
  }

  // prints wants what a terminal printed since its last block.
  async prints(name, output, where) {
    const t = this.#all.get(name);
    for (const deadline = Date.now() + patience; ; await sleep(20)) {
      const said = t.printed.slice(t.from);
      if (missing(said, output) === undefined) return;
      assert.ok(Date.now() < deadline, `${where}: ${missing(said, output)} is missing in ${said}`);
    }
  }

  // interrupt ends what runs in a terminal, as Ctrl-C does, and waits for the end.
  async interrupt(name) {
    const t = this.#all.get(name);
    const pid = t.shell.pid;
    for (const child of readFileSync(`/proc/${pid}/task/${pid}/children`, "utf8").trim().split(/\s+/)) process.kill(Number(child), "SIGINT");
    for (const deadline = Date.now() + patience; !t.printed.includes(`block ${t.count} ended with`);) {
      assert.ok(Date.now() < deadline, `it does not end: ${t.printed}`);
      await sleep(20);
    }
  }

  // close ends all that runs in all terminals.
  async close() {
    for (const signal of ["SIGINT", "SIGKILL"]) {
      for (const t of this.#all.values()) {
        try {
          process.kill(-t.shell.pid, signal);
        } catch { /* it has ended */ }
        t.shell.stdin.end();
      }
      if (signal === "SIGINT") await Promise.race([sleep(10_000), Promise.all([...this.#all.values()].map((t) => t.ended))]);
    }
  }
}

// missing returns the first line of what is wanted that what was said does not have, in
// order. In it, … stands for anything.
function missing(said, wanted = "") {
  const lines = said.replaceAll(/\x1b\[[0-9;]*m/g, "").split("\n");
  for (const want of wanted.trimEnd().split("\n")) {
    const pattern = new RegExp(want.trim().split(/ *… */).map((part) => part.replaceAll(/[.*+?^${}()|[\]\\]/g, "\\$&")).join(".*"));
    let found = false;
    while (lines.length && !found) found = pattern.test(lines.shift());
    if (!found) return want;
  }
  return undefined;
}
