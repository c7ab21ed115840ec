// The short JavaScript of the documents, as it stands there, against a real broker.
import assert from "node:assert/strict";
import { createHmac } from "node:crypto";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import path from "node:path";
import { after, afterEach, before, test } from "node:test";
import { fileURLToPath } from "node:url";
import * as StompJs from "@stomp/stompjs";
import SockJS from "sockjs-client";
import { Broker, sleep } from "./broker.js";
import { tested } from "./documents.js";

const secret = "a secret of this test that is long enough for it";
const everything = { send: ["/**"], subscribe: ["/**"] };
let broker, folder;
before(async () => {
  folder = mkdtempSync(fileURLToPath(new URL("./tmp-documents-", import.meta.url))); // where modules are found
  broker = await Broker.start({ STOMPBOX_AUTH_JWT_SECRET: secret });
  await broker.stop();
  writeFileSync(path.join(broker.dir, "stompbox.yaml"), `history: { policies: [ { name: chat, match: "/topic/chat.**", max_age: 1h } ] }\n`);
  broker.args = ["-c", path.join(broker.dir, "stompbox.yaml")];
  await broker.run();
});
after(async () => {
  rmSync(folder, { recursive: true });
  assert.equal(await broker.remove(), 0);
});

const open = [];
afterEach(async () => { for (const client of open.splice(0)) await client.deactivate({ force: true }); });

function tokenFor(user, permissions = everything) {
  const encode = (value) => Buffer.from(JSON.stringify(value)).toString("base64url");
  const unsigned = `${encode({ alg: "HS256", typ: "JWT" })}.${encode({ sub: user, exp: Math.floor(Date.now() / 1000) + 600, stompbox: permissions })}`;
  return `${unsigned}.${createHmac("sha256", secret).update(unsigned).digest("base64url")}`;
}

const until = async (ready, what) => {
  for (let i = 0; i < 1200 && !(await ready()); i++) await sleep(50);
  assert.ok(await ready(), typeof what === "function" ? what() : what);
};

// started returns a client once it is connected.
async function started(client) {
  open.push(client);
  client.reconnectDelay = 100; // tests have less time than people
  client.activate();
  await until(() => client.connected, "it does not connect");
  return client;
}
const connect = (user, permissions) => started(new StompJs.Client({ brokerURL: broker.url, connectHeaders: { Authorization: `Bearer ${tokenFor(user, permissions)}` } }));

// confirmed publishes, and waits for the RECEIPT.
const confirmed = (client, destination, body = "x") => new Promise((resolve) => {
  const receipt = crypto.randomUUID();
  client.watchForReceipt(receipt, resolve);
  client.publish({ destination, body, headers: { receipt } });
});

// said is a console that keeps what is printed.
function said() {
  const lines = [];
  const print = (...words) => lines.push(words.join(" "));
  return { lines, log: print, warn: print, error: print };
}

// run runs a block with what it speaks of, and returns the variable that it is asked for.
function run(block, names, result = "undefined") {
  const text = block.text.replaceAll("ws://127.0.0.1:8080/ws", broker.url).replaceAll("wss://chat.example/ws", broker.url)
    .replaceAll("https://broker.example/", broker.page);
  return new Function(...Object.keys(names), `${text}\nreturn ${result};`)(...Object.values(names));
}

test("docs/app-servers.md: a server that answers, and its client", async () => {
  const [serving, asking] = tested("docs/app-servers.md", "app-servers");
  const server = await started(run(serving, { StompJs, login: "guest", passcode: "guest" }, "server"));
  const client = await connect("alice");
  await confirmed(server, "/topic/other"); // after its SUBSCRIBE
  const lobby = [];
  client.subscribe("/topic/chat.lobby", (m) => lobby.push(`${m.headers.from} ${m.body}`));
  const console = said();
  run(asking, { client, console });
  await until(() => console.lines.length === 2 && lobby.length === 2, () => `no answers: ${console.lines} and ${lobby}`);
  assert.deepEqual(console.lines.toSorted(), ["17 done", "done"]);
  assert.deepEqual(lobby.toSorted(), ["alice ", "alice lobby"]);
  client.publish({ destination: "/app/none" });
  await until(() => console.lines.length === 3, "no error");
  assert.equal(console.lines[2], "no-app-server no app server serves /app/none");
});

test("docs/clients.md: the smallest client, and React's hook", async () => {
  const [smallest, react] = tested("docs/clients.md", "clients");
  const console = said();
  const fetch = async (url) => (assert.equal(url, "/token"), { ok: true, text: async () => tokenFor("alice") });
  const noImport = { ...smallest, text: smallest.text.replace(/^import .*$/m, "") };
  const client = await started(run(noImport, { Client: StompJs.Client, fetch, console }, "client"));
  await confirmed(client, "/topic/chat.lobby", "hello");
  await until(() => console.lines.length === 1, "no message");
  assert.deepEqual(console.lines, ["alice hello"]);

  writeFileSync(path.join(folder, "connection.mjs"), tested("docs/reconnecting.md", "reconnecting")[0].text);
  const { openConnection } = await import(path.join(folder, "connection.mjs"));
  const connection = openConnection({ brokerURL: broker.url, fetchToken: async () => tokenFor("bob") });
  await started(connection.client);
  let messages, leave;
  const hooks = { useState: (first) => [(messages = first), (next) => { messages = typeof next === "function" ? next(messages) : next; }], useEffect: (effect) => { leave = effect(); } };
  const useRoom = run({ text: react.text.replace(/^import .*$/m, "").replace("export ", "") }, hooks, "useRoom");
  useRoom(connection, "/topic/chat.hook");
  await confirmed(client, "/topic/chat.hook", "in the room");
  await until(() => messages.length === 1, "no message");
  assert.deepEqual([messages[0].user, messages[0].body], ["alice", "in the room"]);
  leave();
  await confirmed(connection.client, "/topic/chat.hook", "after it was left");
  assert.equal(messages.length, 1);
});

test("docs/errors.md: a client that gives up what is forbidden", async () => {
  const client = await connect("alice", { send: ["/topic/chat.*"] });
  const console = said();
  run(tested("docs/errors.md", "errors")[0], { client, console });
  client.publish({ destination: "/topic/admin", body: "x" });
  await until(() => console.lines.length === 1 && client.state === StompJs.ActivationState.INACTIVE, "it goes on");
  assert.deepEqual(console.lines, [`forbidden destination "/topic/admin": no send permission for it`]);
});

test("docs/history.md: what was missed comes after a reconnect", async () => {
  const client = new StompJs.Client({ brokerURL: broker.url, connectHeaders: { Authorization: `Bearer ${tokenFor("alice")}` } });
  const seen = [], reloads = [];
  run(tested("docs/history.md", "history")[0], { client, show: (m) => seen.push(m.body), reloadEverything: () => reloads.push(seen.length) });
  await started(client);
  const other = await connect("bob");
  await confirmed(other, "/topic/chat.lobby", "one");
  await until(() => seen.includes("one"), "no message");
  const before = seen.length;
  client.reconnectDelay = 60_000;
  client.forceDisconnect();
  await until(() => !client.connected, "it stays");
  await confirmed(other, "/topic/chat.lobby", "two");
  await client.deactivate();
  await started(client);
  await until(() => seen.includes("two"), "it is missed");
  assert.deepEqual(seen.slice(before), ["two"]);
  assert.deepEqual(reloads, []);
});

test("docs/private-messages.md: a message to one user", async () => {
  const client = await connect("bob");
  const console = said();
  run(tested("docs/private-messages.md", "private-messages")[0], { client, console });
  await until(() => console.lines.length === 1, "no message");
  assert.deepEqual(console.lines, ["bob says to me: hello bob"]);
});

test("docs/sse.md: STOMP.js over SockJS", async () => {
  const client = await started(run(tested("docs/sse.md", "sockjs")[0], { StompJs, SockJS, token: tokenFor("alice") }, "client"));
  assert.equal(client.connectedVersion, "1.2");
  const users = [];
  client.subscribe("/topic/other", (m) => users.push(m.headers.user));
  await confirmed(client, "/topic/other");
  await until(() => users.length === 1, "no message");
  assert.deepEqual(users, ["alice"]);
});

test("docs/tokens.md: a fresh token for an open session", async () => {
  const client = await connect("alice", { send: ["/topic/chat.*"] });
  let refresh, delay;
  run(tested("docs/tokens.md", "tokens-refresh")[0], { client, fetchToken: async () => tokenFor("alice"), setInterval: (f, ms) => { refresh = f; delay = ms; } });
  assert.equal(delay, 45 * 60_000);
  await refresh();
  await confirmed(client, "/topic/extra"); // which the token before did not grant
});
