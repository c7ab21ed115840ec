// docs/reconnecting.md: its code, as it stands there, over restarts and a network that is silent.
import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import net from "node:net";
import path from "node:path";
import { after, afterEach, before, test } from "node:test";
import { fileURLToPath } from "node:url";
import { Client } from "@stomp/stompjs";
import { Broker, freePort, sleep } from "./broker.js";
import { blocks, tested } from "./documents.js";

const file = "docs/reconnecting.md";
let broker, folder, openConnection;
before(async () => {
  folder = mkdtempSync(fileURLToPath(new URL("./tmp-documents-", import.meta.url))); // where modules are found
  writeFileSync(path.join(folder, "connection.mjs"), tested(file, "reconnecting")[0].text);
  ({ openConnection } = await import(path.join(folder, "connection.mjs")));
  broker = await Broker.start();
  await broker.stop();
  const policy = blocks(file).find((b) => b.language === "yaml").text;
  writeFileSync(path.join(broker.dir, "stompbox.yaml"), policy.replace("max_messages: 1000", "max_messages: 20"));
  broker.args = ["-c", path.join(broker.dir, "stompbox.yaml")];
  await broker.run();
});
after(async () => {
  rmSync(folder, { recursive: true });
  await broker.remove();
});

const until = async (ready, what) => {
  for (let i = 0; i < 1200 && !ready(); i++) await sleep(50);
  assert.ok(ready(), what);
};

const open = [];
afterEach(async () => {
  for (const client of open.splice(0)) await client.deactivate({ force: true });
});

function connection(o = {}) {
  const problems = [];
  const c = openConnection({
    brokerURL: broker.url, fetchToken: () => broker.token("alice"), onProblem: (...problem) => problems.push(problem), ...o,
  });
  c.client.reconnectDelay = 200; // tests have less time than people
  open.push(c.client);
  return { ...c, problems };
}

async function sender() {
  const client = new Client({ brokerURL: broker.url, connectHeaders: { login: "guest", passcode: "guest" }, reconnectDelay: 100 });
  open.push(client);
  await new Promise((resolve) => { client.onConnect = resolve; client.activate(); });
  return client;
}

function room(c, destination) {
  const seen = [], reloads = [];
  c.join(destination, { show: (m) => seen.push(m.body), reload: () => reloads.push(seen.length) });
  return { seen, reloads };
}

test("two rooms miss nothing over restarts, also when only one of them was busy", async () => {
  const c = connection();
  const quiet = room(c, "/topic/chat.quiet"), busy = room(c, "/topic/chat.busy");
  c.client.activate();
  await until(() => c.client.connected);
  c.send("/topic/chat.quiet", "first");
  c.send("/topic/chat.busy", "first");
  await until(() => quiet.seen.length === 1 && busy.seen.length === 1);
  for (let round = 1; round <= 2; round++) {
    const port = broker.http;
    await broker.stop();
    await until(() => !c.client.connected);
    await broker.run();
    assert.equal(broker.http, port);
    const other = await sender();
    other.publish({ destination: "/topic/chat.quiet", body: `missed ${round}` });
    for (let i = 0; i < 5; i++) other.publish({ destination: "/topic/chat.busy", body: `${round}.${i}` });
    await until(() => quiet.seen.length === 1 + round && busy.seen.length === 1 + 5 * round, "what was missed comes");
  }
  assert.deepEqual(quiet.seen, ["first", "missed 1", "missed 2"]);
  assert.deepEqual(busy.seen, ["first", "1.0", "1.1", "1.2", "1.3", "1.4", "2.0", "2.1", "2.2", "2.3", "2.4"]);
  assert.deepEqual([quiet.reloads, busy.reloads], [[], []]);
  assert.deepEqual(c.problems.filter(([code]) => code !== "no-token"), [], "the broker, which is away, is the token server too");
});

test("what is sent while away arrives once, in order", async () => {
  const c = connection();
  const lobby = room(c, "/topic/chat.away");
  c.send("/topic/chat.away", "before the first connection");
  c.client.activate();
  await until(() => lobby.seen.length === 1);
  await broker.stop();
  await until(() => !c.client.connected);
  for (const body of ["a", "b", "c"]) c.send("/topic/chat.away", body);
  await broker.run();
  await until(() => lobby.seen.length === 4);
  // A connection that dies with its receipts: all are sent again, and stored once.
  const real = c.client.watchForReceipt;
  c.client.watchForReceipt = () => {};
  c.send("/topic/chat.away", "d");
  await until(() => lobby.seen.length === 5);
  c.client.watchForReceipt = real;
  c.client.forceDisconnect();
  c.send("/topic/chat.away", "e");
  await until(() => lobby.seen.length === 6);
  assert.deepEqual(lobby.seen, ["before the first connection", "a", "b", "c", "d", "e"]);
});

test("a token server that fails, and a handler that throws, end nothing", async () => {
  let failures = 2;
  const c = connection({ fetchToken: async () => { if (failures-- > 0) throw new Error("503"); return broker.token("alice"); } });
  c.join("/topic/chat.throws", { show: (m) => { if (m.body === "1") throw new Error("a bug"); seen.push(m.body); }, reload: () => {} });
  const seen = [];
  c.client.activate();
  await until(() => c.client.connected, "it connects once there is a token");
  for (const body of ["1", "2"]) c.send("/topic/chat.throws", body);
  await until(() => seen.length === 1);
  assert.deepEqual(seen, ["2"]);
  const codes = c.problems.map(([code]) => code);
  assert.equal(codes.filter((code) => code === "no-token").length, 2);
  assert.ok(codes.includes("unauthenticated"), "without a token the broker refuses");
  assert.ok(codes.includes("handler-failed"));
});

test("an absence that was too long has the room reloaded", async () => {
  const c = connection();
  const lobby = room(c, "/topic/chat.long");
  c.client.activate();
  await until(() => c.client.connected);
  c.send("/topic/chat.long", "first");
  await until(() => lobby.seen.length === 1);
  const other = await sender();
  await c.client.deactivate();
  for (let i = 0; i < 30; i++) other.publish({ destination: "/topic/chat.long", body: String(i) });
  await new Promise((resolve) => { other.watchForReceipt("all", resolve); other.publish({ destination: "/topic/chat.long", body: "last", headers: { receipt: "all" } }); });
  c.client.activate();
  await until(() => lobby.seen.at(-1) === "last");
  assert.equal(lobby.reloads.length, 1, "once");
});

test("what is refused for good is given up", async () => {
  const c = connection();
  const lobby = room(c, "/topic/chat.refused");
  room(c, "/nowhere/room");
  c.client.activate();
  await until(() => c.problems.length === 1);
  c.send("/nowhere/x", "refused");
  c.send("/topic/chat.refused", "kept");
  await until(() => lobby.seen.length === 1);
  assert.deepEqual(c.problems.map(([code]) => code), ["bad-destination", "bad-destination"]);
});

test("a network that swallows packets is tried again every five seconds, not after minutes", async () => {
  const attempts = [], sockets = [];
  let silent = true;
  const proxy = net.createServer((socket) => {
    sockets.push(socket);
    socket.on("error", () => {});
    attempts.push(socket);
    if (silent) return; // accepted by the kernel, and never answered
    const upstream = net.connect(broker.http, "127.0.0.1");
    upstream.on("error", () => socket.destroy());
    sockets.push(upstream);
    socket.pipe(upstream).pipe(socket);
  });
  const port = await freePort();
  await new Promise((resolve) => proxy.listen(port, "127.0.0.1", resolve));
  try {
    const c = connection({ brokerURL: `ws://127.0.0.1:${port}/ws` });
    c.client.activate();
    await until(() => attempts.length >= 2, "it gives the first try up by itself");
    silent = false;
    await until(() => c.client.connected);
  } finally {
    proxy.close();
    for (const socket of sockets) socket.destroy();
  }
});

test("the page that uses it runs", async () => {
  const text = tested(file, "reconnecting-use")[0].text.replaceAll("127.0.0.1:8080", `127.0.0.1:${broker.http}`)
    .replace("./connection.js", "./connection.mjs");
  writeFileSync(path.join(folder, "use.mjs"), text + "\nexport { connection };\n");
  const said = [], log = console.log;
  console.log = (...words) => said.push(words.join(" "));
  try {
    const { connection } = await import(path.join(folder, "use.mjs"));
    open.push(connection.client);
    await until(() => said.length === 1);
  } finally {
    console.log = log;
  }
  assert.deepEqual(said, ["alice says hello"]);
});
