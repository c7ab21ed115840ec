// The examples that need Node or a shell, as they are.
import assert from "node:assert/strict";
import { execFile, spawn } from "node:child_process";
import { copyFileSync, rmSync } from "node:fs";
import { after, before, test } from "node:test";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { Broker, sleep } from "./broker.js";

const here = (path) => fileURLToPath(new URL(path, import.meta.url));
const run = promisify(execFile);

let broker;
before(async () => { broker = await Broker.start(); });
after(async () => assert.equal(await broker.remove(), 0));

test("examples/node answers", async () => {
  const copy = here("./example-app-server.mjs"); // where it finds its modules
  copyFileSync(here("../../examples/node/app_server.mjs"), copy);
  const server = spawn(process.execPath, [copy], { env: { ...process.env, STOMPBOX_URL: broker.url }, stdio: ["ignore", "ignore", "inherit"] });
  try {
    let answer = "";
    for (let i = 0; i < 200 && !answer; i++) {
      answer = await run(here("../../bin/stompbox"), ["ask", "--url", broker.url, "/app/node.hello", "how are you?"])
        .then(({ stdout }) => stdout, async (error) => { assert.match(error.stderr, /no-app-server/); await sleep(50); return ""; });
    }
    assert.equal(answer, "hello guest\n");
  } finally {
    server.kill("SIGKILL");
    rmSync(copy);
  }
});

test("examples/http sends", async () => {
  const { stdout } = await run("sh", [here("../../examples/http/send.sh")], { env: { ...process.env, STOMPBOX_HTTP: broker.page.slice(0, -1) } });
  const answers = stdout.trim().split("\n").map((line) => JSON.parse(line));
  assert.deepEqual(answers.slice(0, 4).map((a) => a.sent), [1, 2, 1, 1]);
  assert.equal(answers[4].messages, 2, "the repeated request was sent once");
});
