// App servers that others wrote: @stomp/stompjs over WebSocket, and stompit over TCP.
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { Client } from "@stomp/stompjs";
import stompit from "stompit";
import { Broker, sleep } from "./broker.js";
import { devToken } from "./browser.js";

let broker;
before(async () => { broker = await Broker.start(); });
after(async () => assert.equal(await broker.remove(), 0));

function connect(headers) {
  const client = new Client({ brokerURL: broker.url, connectHeaders: headers, reconnectDelay: 0 });
  return new Promise((resolve, reject) => {
    client.onConnect = () => resolve(client);
    client.onStompError = (f) => reject(new Error(f.headers.message));
    client.activate();
  });
}

const subscribed = (client, ...subscribe) => new Promise((resolve) => {
  const [destination, callback, headers] = subscribe;
  client.watchForReceipt("subscribed", resolve);
  client.subscribe(destination, callback, { ...headers, receipt: "subscribed" });
});

const ask = (client, destination, body, id) => new Promise((resolve) => {
  client.onUnhandledMessage = resolve;
  client.publish({ destination, body, headers: { "reply-to": "/temp-queue/answers", "correlation-id": id } });
});

test("@stomp/stompjs serves requests and answers them", async () => {
  const server = await connect({ login: "guest", passcode: "guest" });
  await subscribed(server, "/app/chat.*", (request) => {
    const { user, "reply-to": to, "correlation-id": id } = request.headers;
    server.publish({ destination: to, body: `${user} says ${request.body}`, headers: { "correlation-id": id } });
    request.ack();
  }, { ack: "client-individual" });
  const client = await connect({ Authorization: `Bearer ${await devToken(broker, "alice")}` });
  for (let i = 0; i < 20; i++) {
    const answer = await ask(client, "/app/chat.join", `hello ${i}`, String(i));
    assert.equal(answer.body, `alice says hello ${i}`);
    assert.equal(answer.headers["correlation-id"], String(i));
  }
  await client.deactivate();
  await server.deactivate();
  // No app server is left, and the next request gets an error.
  const late = await connect({ Authorization: `Bearer ${await devToken(broker, "bob")}` });
  await sleep(200);
  const told = new Promise((resolve) => late.subscribe("/user/queue/errors", resolve));
  late.publish({ destination: "/app/chat.join", body: "anybody?" });
  assert.equal((await told).headers.error, "no-app-server");
  await late.deactivate();
});

test("stompit serves requests over TCP", async () => {
  const server = await new Promise((resolve, reject) => stompit.connect(
    { host: "127.0.0.1", port: broker.tcp, connectHeaders: { host: "/", login: "guest", passcode: "guest" } },
    (error, client) => (error ? reject(error) : resolve(client))));
  server.subscribe({ destination: "/app/sum", ack: "client-individual" }, (error, message) => {
    if (error) return;
    message.readString("utf-8", (_, body) => {
      const frame = server.send({ destination: message.headers["reply-to"], "correlation-id": message.headers["correlation-id"] });
      frame.write(String(body.split(" ").reduce((sum, n) => sum + Number(n), 0)));
      frame.end();
      server.ack(message);
    });
  });
  await sleep(200);
  const client = await connect({ Authorization: `Bearer ${await devToken(broker, "alice")}` });
  assert.equal((await ask(client, "/app/sum", "1 2 39", "x")).body, "42");
  await client.deactivate();
  await new Promise((resolve) => server.disconnect(resolve));
});
