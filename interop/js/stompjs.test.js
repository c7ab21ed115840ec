// @stomp/stompjs 7 over WebSocket, in all versions of the protocol.
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { Client, Versions } from "@stomp/stompjs";
import { Broker, Inbox, sleep } from "./broker.js";

let broker;
before(async () => {
  broker = await Broker.start({ STOMPBOX_HEARTBEAT_SEND: "300ms", STOMPBOX_HEARTBEAT_RECEIVE: "300ms", STOMPBOX_HEARTBEAT_GRACE: "10" });
});
after(async () => assert.equal(await broker.remove(), 0, "SIGTERM drains and exits 0"));

function connect(config = {}) {
  return new Promise((resolve, reject) => {
    const client = new Client({
      brokerURL: broker.url, reconnectDelay: 0, connectHeaders: { login: "guest", passcode: "guest" },
      heartbeatIncoming: 0, heartbeatOutgoing: 0,
      onConnect: () => resolve(client),
      onStompError: (f) => reject(new Error(f.headers.message)),
      ...config,
    });
    client.activate();
  });
}

function subscribe(client, destination, headers = {}) {
  const inbox = new Inbox();
  return new Promise((resolve) => {
    const receipt = `sub-${Math.random()}`;
    client.watchForReceipt(receipt, () => resolve({ inbox, subscription }));
    const subscription = client.subscribe(destination, inbox.put, { ...headers, receipt });
  });
}

const receiptOf = (client, action) => new Promise((resolve) => {
  const id = `r-${Math.random()}`;
  client.watchForReceipt(id, resolve);
  action(id);
});

for (const version of ["1.0", "1.1", "1.2"]) {
  test(`STOMP ${version}: send, receive, receipts, unicode`, async () => {
    const client = await connect({ stompVersions: new Versions([version]) });
    assert.equal(client.connectedVersion, version);
    const { inbox, subscription } = await subscribe(client, "/topic/größe.*");
    await receiptOf(client, (receipt) => client.publish({ destination: "/topic/größe.1", body: "привет 👍", headers: { receipt, emoji: "👍" } }));
    const m = await inbox.next();
    assert.equal(m.body, "привет 👍");
    assert.equal(m.headers.emoji, "👍");
    assert.equal(m.headers.destination, "/topic/größe.1");
    assert.equal(m.headers.user, "guest");
    await receiptOf(client, (receipt) => subscription.unsubscribe({ receipt }));
    await client.deactivate();
  });
}

test("headers with escapes, and a text body without content-length", async () => {
  const client = await connect();
  const { inbox } = await subscribe(client, "/topic/escapes");
  // STOMP.js unescapes one kind after the other, so a backslash before c, n or r
  // would be misread by itself.
  const note = "a:b\\x\nd\re";
  client.publish({ destination: "/topic/escapes", body: "x", headers: { note }, skipContentLengthHeader: true });
  const m = await inbox.next();
  assert.equal(m.headers.note, note);
  await client.deactivate();
});

test("binary bodies with NULs", async () => {
  const client = await connect();
  const { inbox } = await subscribe(client, "/topic/binary");
  const body = Uint8Array.from({ length: 1000 }, (_, i) => i % 256);
  client.publish({ destination: "/topic/binary", binaryBody: body, headers: { "content-type": "application/octet-stream" } });
  assert.deepEqual((await inbox.next()).binaryBody, body);
  await client.deactivate();
});

test("a 1 MiB body in split frames", async () => {
  const client = await connect({ splitLargeFrames: true });
  const { inbox } = await subscribe(client, "/topic/large");
  const body = "0123456789abcdef".repeat(65536);
  client.publish({ destination: "/topic/large", body });
  assert.equal((await inbox.next()).body, body);
  await client.deactivate();
});

test("transactions and acknowledgements", async () => {
  const client = await connect();
  const { inbox } = await subscribe(client, "/topic/tx", { ack: "client-individual" });
  const dropped = client.begin();
  client.publish({ destination: "/topic/tx", body: "dropped", headers: { transaction: dropped.id } });
  dropped.abort();
  const kept = client.begin();
  client.publish({ destination: "/topic/tx", body: "one", headers: { transaction: kept.id } });
  client.publish({ destination: "/topic/tx", body: "two", headers: { transaction: kept.id } });
  kept.commit();
  for (const want of ["one", "two"]) {
    const m = await inbox.next();
    assert.equal(m.body, want);
    m.ack();
  }
  await receiptOf(client, (receipt) => client.publish({ destination: "/topic/tx", body: "three", headers: { receipt } }));
  (await inbox.next()).nack();
  await client.deactivate();
});

test("heart-beats are really exchanged", async () => {
  const log = [];
  const client = await connect({ heartbeatIncoming: 300, heartbeatOutgoing: 300, debug: (m) => log.push(m) });
  await sleep(2500);
  assert.ok(client.connected, "the connection lives on heart-beats alone");
  assert.ok(log.filter((m) => m === "<<< PONG").length >= 4, "the broker's beats arrive");
  assert.ok(log.filter((m) => m === ">>> PING").length >= 4, "the client's beats go out");
  await client.deactivate();
});

test("a JWT on CONNECT, private messages, and one answer for every wrong token", async () => {
  const as = async (user) => connect({ connectHeaders: { Authorization: `Bearer ${await broker.token(user)}` } });
  const alice = await as("alice");
  const bob = await as("bob");
  const { inbox } = await subscribe(alice, "/user/queue/chat");
  bob.publish({ destination: "/user/alice/queue/chat", body: "psst" });
  const m = await inbox.next();
  assert.equal(m.body, "psst");
  assert.equal(m.headers.user, "bob");
  assert.equal(m.headers.destination, "/user/queue/chat");
  for (const token of ["junk", (await broker.token("eve")) + "x"]) {
    await assert.rejects(connect({ connectHeaders: { Authorization: `Bearer ${token}` } }), /^Error: authentication failed$/);
  }
  await alice.deactivate();
  await bob.deactivate();
});

test("an ERROR names the cause and the receipt", async () => {
  const errors = new Inbox();
  const client = await connect({ onStompError: errors.put });
  client.publish({ destination: "/nowhere/x", body: "", headers: { receipt: "77" } });
  const f = await errors.next();
  assert.match(f.headers.message, /\/nowhere\/x/);
  assert.equal(f.headers["receipt-id"], "77");
  await client.deactivate();
});

test("reconnects after the broker restarts", async () => {
  const connected = new Inbox();
  const inbox = new Inbox();
  const again = new Client({
    brokerURL: broker.url, reconnectDelay: 100, connectHeaders: { login: "guest", passcode: "guest" }, heartbeatIncoming: 0, heartbeatOutgoing: 0,
    onConnect: () => { again.subscribe("/topic/again", inbox.put, { receipt: "s" }); again.watchForReceipt("s", connected.put); },
  });
  again.activate();
  await connected.next();
  assert.equal(await broker.stop(), 0);
  await broker.run();
  await connected.next();
  again.publish({ destination: "/topic/again", body: "back" });
  assert.equal((await inbox.next()).body, "back");
  await again.deactivate();
});
