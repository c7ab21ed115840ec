// The JavaScript and Python of the documents: all of it parses, and what is marked runs.
import assert from "node:assert/strict";
import { execFile, spawnSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import os from "node:os";
import path from "node:path";
import { after, before, test } from "node:test";
import { promisify } from "node:util";
import { Client } from "@stomp/stompjs";
import { Broker, sleep } from "./broker.js";
import { blocks, documents, tested } from "./documents.js";

const run = promisify(execFile);
const secret = "a secret of this test that is long enough for it";
let folder, broker;
before(async () => {
  folder = mkdtempSync(path.join(os.tmpdir(), "stompbox-documents-"));
  broker = await Broker.start({ STOMPBOX_AUTH_JWT_SECRET: secret });
});
after(async () => {
  rmSync(folder, { recursive: true });
  await broker.remove();
});

// marks are the tests in JavaScript that blocks name. Blocks in other languages name Go's.
const marks = new Set(["app-servers", "clients", "errors", "history", "private-messages", "sockjs", "sse", "tokens-refresh", "console", "reconnecting", "reconnecting-use", "tokens", "work-queue", "quickstart-frontend-build", "quickstart-frontend-serve", "quickstart-frontend-node"]);

test("each JavaScript block parses, and each test that a block names is here", () => {
  for (const file of documents()) {
    for (const [i, block] of blocks(file).entries()) {
      const where = `${file}:${block.line}`;
      if (block.mark.startsWith("test: ") && ["js", "python", "html"].includes(block.language)) assert.ok(marks.has(block.mark.slice(6)), where);
      if (block.language !== "js") continue;
      assert.match(block.mark, /^(test|file): /, `${where}: which test runs it?`);
      const name = path.join(folder, `block${i}.mjs`);
      writeFileSync(name, block.text);
      const { status, stderr } = spawnSync(process.execPath, ["--check", name], { encoding: "utf8" });
      assert.equal(status, 0, `${where}: ${stderr}`);
    }
  }
});

async function connect(connectHeaders) {
  const client = new Client({ brokerURL: broker.url, connectHeaders, reconnectDelay: 0 });
  await new Promise((resolve, reject) => {
    client.onConnect = resolve;
    client.onStompError = (frame) => reject(new Error(frame.headers.message));
    client.activate();
  });
  return client;
}

test("tokens that docs/tokens.md signs are accepted, with their permissions", async () => {
  const [js, python] = tested("docs/tokens.md", "tokens");
  const permissions = { send: ["/topic/chat.*"], subscribe: ["/topic/chat.*"] };
  writeFileSync(path.join(folder, "sign.mjs"), js.text);
  const { signToken } = await import(path.join(folder, "sign.mjs"));
  writeFileSync(path.join(folder, "sign.py"), `${python.text}\nimport sys\nprint(sign_token(sys.argv[1], "alice", json.loads(sys.argv[2])))\n`);
  const { stdout } = await run("python3", [path.join(folder, "sign.py"), secret, JSON.stringify(permissions)]);
  for (const token of [signToken(secret, "alice", permissions), stdout.trim()]) {
    const client = await connect({ Authorization: `Bearer ${token}` });
    const seen = new Promise((resolve) => client.subscribe("/topic/chat.a", (m) => resolve(m.headers.user)));
    client.publish({ destination: "/topic/chat.a", body: "x" });
    assert.equal(await seen, "alice");
    const refused = new Promise((resolve) => { client.onStompError = (frame) => resolve(frame.headers.code); });
    client.publish({ destination: "/topic/admin", body: "x" });
    assert.equal(await refused, "forbidden");
    await client.deactivate();
  }
});

test("the workers of docs/work-queues.md do each order once, and what failed again", async () => {
  writeFileSync(path.join(folder, "work.mjs"), tested("docs/work-queues.md", "work-queue").map((b) => b.text).join("\n"));
  const { submit, work } = await import(path.join(folder, "work.mjs"));
  const login = { login: "guest", passcode: "guest" };
  const producer = await connect(login), workers = [await connect(login), await connect(login)];
  const done = [], error = console.error;
  let failures = 1;
  console.error = () => {};
  try {
    for (const worker of workers) {
      work(worker, async (order) => {
        if (order.id === "o3" && failures-- > 0) throw new Error("not today");
        done.push(order.id);
      });
    }
    for (const id of ["o1", "o2", "o3", "o4"]) await submit(producer, { id });
    await submit(producer, { id: "o4" }); // in doubt: it is confirmed, and stored once
    for (let i = 0; i < 600 && done.length < 4; i++) await sleep(50);
    assert.deepEqual(done.toSorted(), ["o1", "o2", "o3", "o4"]);
  } finally {
    console.error = error;
    for (const client of [producer, ...workers]) await client.deactivate();
  }
});
