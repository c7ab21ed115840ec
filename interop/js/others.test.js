// Other clients in use: rx-stomp, webstomp-client and stompjs 2 over WebSocket,
// stompit over TCP.
import assert from "node:assert/strict";
import { createRequire } from "node:module";
import { after, before, test } from "node:test";
import { RxStomp } from "@stomp/rx-stomp";
import { firstValueFrom } from "rxjs";
import WebSocket from "ws";
import { Broker, Inbox } from "./broker.js";

const require = createRequire(import.meta.url);
const webstomp = require("webstomp-client");
const stompit = require("stompit");
const { Stomp: oldStomp } = require("stompjs/lib/stomp.js");

let broker;
before(async () => { broker = await Broker.start(); });
after(async () => assert.equal(await broker.remove(), 0));

test("@stomp/rx-stomp", async () => {
  const rx = new RxStomp();
  rx.configure({ brokerURL: broker.url, connectHeaders: { login: "guest", passcode: "guest" }, reconnectDelay: 200 });
  rx.activate();
  await firstValueFrom(rx.connected$);
  const message = firstValueFrom(rx.watch({ destination: "/topic/rx", subHeaders: { receipt: "watching" } }));
  await new Promise((resolve) => rx.watchForReceipt("watching", resolve));
  rx.publish({ destination: "/topic/rx", body: "reactive" });
  assert.equal((await message).body, "reactive");
  await rx.deactivate();
});

for (const [name, over] of [["webstomp-client", (ws) => webstomp.over(ws, { debug: false })], ["stompjs 2.3.3", (ws) => oldStomp.over(ws)]]) {
  test(name, async () => {
    const client = over(new WebSocket(broker.url, ["v12.stomp", "v11.stomp", "v10.stomp"]));
    client.debug = () => {};
    client.heartbeat = { incoming: 0, outgoing: 0 };
    await new Promise((resolve, reject) => client.connect("guest", "guest", resolve, reject));
    const inbox = new Inbox();
    const receipts = new Inbox();
    client.onreceipt = receipts.put;
    client.subscribe("/topic/old", inbox.put, { receipt: "s" });
    assert.equal((await receipts.next()).headers["receipt-id"], "s");
    if (name === "webstomp-client") client.send("/topic/old", "héllo", {});
    else client.send("/topic/old", {}, "héllo");
    assert.equal((await inbox.next()).body, "héllo");
    await new Promise((resolve) => client.disconnect(resolve));
  });
}

test("stompit over TCP", async () => {
  const client = await new Promise((resolve, reject) => stompit.connect(
    { host: "127.0.0.1", port: broker.tcp, connectHeaders: { host: "/", login: "guest", passcode: "guest", "heart-beat": "5000,5000" } },
    (error, c) => (error ? reject(error) : resolve(c))));
  const inbox = new Inbox();
  client.subscribe({ destination: "/topic/tcp", ack: "client-individual" }, (error, message) => {
    assert.ifError(error);
    message.readString("utf-8", (e, body) => { client.ack(message); inbox.put({ e, body }); });
  });
  await new Promise((resolve) => {
    const frame = client.send({ destination: "/topic/tcp", "content-type": "text/plain" }, { onReceipt: resolve });
    frame.write("over TCP");
    frame.end();
  });
  assert.equal((await inbox.next()).body, "over TCP");
  await new Promise((resolve) => client.disconnect(resolve));
});
