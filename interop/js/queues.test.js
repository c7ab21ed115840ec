// Durable queues as real clients use them: @stomp/stompjs over WebSocket,
// stompit over TCP.
import assert from "node:assert/strict";
import { createRequire } from "node:module";
import { after, before, test } from "node:test";
import { Client } from "@stomp/stompjs";
import { Broker, Inbox, sleep } from "./broker.js";

const stompit = createRequire(import.meta.url)("stompit");

let broker;
before(async () => { broker = await Broker.start({ STOMPBOX_QUEUES_MAX_DELIVERIES: "3" }); });
after(async () => assert.equal(await broker.remove(), 0));

function connect() {
  return new Promise((resolve, reject) => {
    const client = new Client({
      brokerURL: broker.url, reconnectDelay: 0, connectHeaders: { login: "guest", passcode: "guest" },
      onConnect: () => resolve(client), onStompError: (f) => reject(new Error(f.headers.message)),
    });
    client.activate();
  });
}

const confirmed = (client, action) => new Promise((resolve) => {
  const id = `r-${Math.random()}`;
  client.watchForReceipt(id, resolve);
  action(id);
});

const send = (client, destination, body, headers = {}) =>
  confirmed(client, (receipt) => client.publish({ destination, body, headers: { ...headers, receipt } }));

test("@stomp/stompjs: ack, nack, dead letters", async () => {
  const client = await connect();
  for (const body of ["good", "bad"]) await send(client, "/queue/jobs", body);
  const inbox = new Inbox();
  client.subscribe("/queue/jobs", inbox.put, { ack: "client-individual" });
  const good = await inbox.next();
  assert.equal(good.body, "good");
  await confirmed(client, (receipt) => good.ack({ receipt }));
  for (let i = 1; i <= 3; i++) {
    const bad = await inbox.next();
    assert.equal(bad.body, "bad");
    assert.equal(bad.headers["delivery-count"], `${i}`);
    assert.equal(bad.headers.redelivered, i > 1 ? "true" : undefined);
    bad.nack();
  }
  const dead = new Inbox();
  client.subscribe("/queue/DLQ.jobs", dead.put);
  const letter = await dead.next();
  assert.equal(letter.body, "bad");
  assert.equal(letter.headers["dead-letter-origin"], "/queue/jobs");
  await send(client, "/queue/jobs", "never");
  const never = await inbox.next();
  await confirmed(client, (receipt) => never.nack({ requeue: "false", receipt }));
  const rejected = await dead.next();
  assert.deepEqual([rejected.body, rejected.headers["dead-letter-reason"]], ["never", "rejected"]);
  await client.deactivate();
});

test("@stomp/stompjs: a transaction of a SEND and an ACK", async () => {
  const client = await connect();
  await send(client, "/queue/in", "order");
  const inbox = new Inbox();
  const out = new Inbox();
  client.subscribe("/queue/in", inbox.put, { ack: "client" });
  client.subscribe("/queue/out", out.put);
  const order = await inbox.next();
  for (const end of ["abort", "commit"]) {
    const tx = client.begin();
    client.publish({ destination: "/queue/out", body: end, headers: { transaction: tx.id } });
    order.ack({ transaction: tx.id });
    tx[end]();
  }
  assert.equal((await out.next()).body, "commit");
  await client.deactivate();
  const next = await connect();
  let again = 0;
  await confirmed(next, (receipt) => next.subscribe("/queue/in", () => again++, { receipt }));
  await sleep(300);
  assert.equal(again, 0, "it was acknowledged");
  await next.deactivate();
});

test("@stomp/stompjs: a worker that goes away gives its messages to another", async () => {
  const a = await connect();
  const b = await connect();
  await send(a, "/queue/work", "one");
  const first = new Inbox();
  a.subscribe("/queue/work", first.put, { ack: "client-individual", "prefetch-count": "1" });
  await first.next();
  const second = new Inbox();
  b.subscribe("/queue/work", second.put, { ack: "client-individual" });
  a.forceDisconnect();
  const message = await second.next();
  assert.equal(message.headers.redelivered, "true");
  message.ack();
  await a.deactivate();
  await b.deactivate();
});

test("@stomp/stompjs: request and reply over a temp-queue", async () => {
  const client = await connect();
  const server = await connect();
  server.subscribe("/queue/upper", (m) => server.publish({ destination: m.headers["reply-to"], body: m.body.toUpperCase() }));
  const answer = new Promise((resolve) => { client.onUnhandledMessage = resolve; });
  client.publish({ destination: "/queue/upper", body: "hello", headers: { "reply-to": "/temp-queue/answers" } });
  const message = await answer;
  assert.equal(message.body, "HELLO");
  assert.equal(message.headers.subscription, "/temp-queue/answers");
  await client.deactivate();
  await server.deactivate();
});

test("stompit over TCP: ack and nack, and what was queued survives a restart", async () => {
  const dial = () => new Promise((resolve, reject) => stompit.connect(
    { host: "127.0.0.1", port: broker.tcp, connectHeaders: { host: "/", login: "guest", passcode: "guest" } },
    (error, c) => (error ? reject(error) : resolve(c))));
  const client = await dial();
  await new Promise((resolve) => {
    const frame = client.send({ destination: "/queue/tcp" }, { onReceipt: resolve });
    frame.end("kept");
  });
  await new Promise((resolve) => client.disconnect(resolve));
  assert.equal(await broker.stop(), 0);
  await broker.run();
  const next = await dial();
  const counts = [];
  const inbox = new Inbox();
  next.subscribe({ destination: "/queue/tcp", ack: "client-individual" }, (error, message) => {
    assert.ifError(error);
    message.readString("utf-8", (e, body) => {
      counts.push(message.headers["delivery-count"]);
      if (counts.length === 1) next.nack(message);
      else { next.ack(message); inbox.put(body); }
    });
  });
  assert.equal(await inbox.next(), "kept");
  assert.deepEqual(counts, ["1", "2"]);
  await new Promise((resolve) => next.disconnect(resolve));
});
