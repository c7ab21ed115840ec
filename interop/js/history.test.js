// What a browser missed, with @stomp/stompjs: last-event-id over reconnects.
import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import path from "node:path";
import { after, before, test } from "node:test";
import { Client } from "@stomp/stompjs";
import { Broker, sleep } from "./broker.js";

let broker;
before(async () => {
  broker = await Broker.start();
  await broker.stop();
  const file = path.join(broker.dir, "stompbox.yaml");
  writeFileSync(file, `history: { policies: [ { name: chat, match: "/topic/chat.**", max_age: 1h } ] }\npresence: { destinations: ["/topic/chat.*"] }\n`);
  broker.args = ["-c", file];
  await broker.run();
});
after(() => broker.remove());

const login = { login: "guest", passcode: "guest" };

function publisher() {
  const client = new Client({ brokerURL: broker.url, connectHeaders: login, reconnectDelay: 100 });
  return new Promise((resolve) => { client.onConnect = () => resolve(client); client.activate(); });
}

const until = async (ready) => {
  for (let i = 0; i < 200 && !ready(); i++) await sleep(50);
  assert.ok(ready());
};

test("a client that reconnects gets what it missed, once and in order", async () => {
  const seen = [];
  let last;
  const reader = new Client({ brokerURL: broker.url, connectHeaders: login, reconnectDelay: 100 });
  let connections = 0;
  reader.onConnect = () => {
    connections++;
    reader.subscribe("/topic/chat.room", (m) => {
      last = m.headers["message-id"];
      assert.equal(m.headers.replay, undefined);
      seen.push(m.body);
    }, last ? { "last-event-id": last } : {});
  };
  reader.activate();
  await until(() => connections === 1);
  let sender = await publisher();
  sender.publish({ destination: "/topic/chat.room", body: "0" });
  await until(() => seen.length === 1);
  for (let round = 1; round <= 3; round++) {
    await broker.stop();
    await broker.run();
    await until(() => sender.connected);
    // Sent as soon as can be: before or after the reader is back, it gets them.
    for (let i = 0; i < 5; i++) sender.publish({ destination: "/topic/chat.room", body: String((round - 1) * 5 + i + 1) });
    await until(() => seen.length === round * 5 + 1);
  }
  assert.deepEqual(seen, Array.from({ length: 16 }, (_, i) => String(i)));
  await reader.deactivate();
  await sender.deactivate();
});

test("replay-last brings the newest, and a durable subscription what came meanwhile", async () => {
  const sender = await publisher();
  for (const body of ["a", "b", "c"]) sender.publish({ destination: "/topic/chat.last", body });
  const seen = [];
  sender.subscribe("/topic/chat.last", (m) => seen.push(m.body), { "replay-last": "2" });
  await until(() => seen.length === 2);
  assert.deepEqual(seen, ["b", "c"]);

  const durable = { id: "phone", durable: "true", "auto-delete": "false", ack: "client" };
  const first = await publisher();
  await new Promise((resolve) => {
    first.watchForReceipt("subscribed", resolve);
    first.subscribe("/topic/chat.durable", () => {}, { ...durable, receipt: "subscribed" });
  });
  await first.deactivate();
  sender.publish({ destination: "/topic/chat.durable", body: "missed" });
  const second = await publisher();
  const got = await new Promise((resolve) => second.subscribe("/topic/chat.durable", (m) => { m.ack(); resolve(m.body); }, durable));
  assert.equal(got, "missed");
  await second.deactivate();
  await sender.deactivate();
});

test("presence tells who joins and leaves", async () => {
  const watcher = await publisher();
  const events = [];
  watcher.subscribe("/topic/$presence/chat.lobby", (m) => events.push(JSON.parse(m.body)));
  await until(() => events.length === 1);
  const guest = await publisher();
  guest.subscribe("/topic/chat.lobby", () => {});
  await until(() => events.length === 2);
  await guest.deactivate();
  await until(() => events.length === 3);
  assert.deepEqual(events.map((e) => e.type), ["present", "join", "leave"]);
  await watcher.deactivate();
});
