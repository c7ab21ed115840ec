// sockjs-client in headless Chromium, over each of its transports, with
// @stomp/stompjs on top, as withSockJS() frontends use them.
import assert from "node:assert/strict";
import { fileURLToPath } from "node:url";
import { after, before, test } from "node:test";
import { Broker } from "./broker.js";
import { devToken, launch } from "./browser.js";

let broker, browser;
before(async () => {
  broker = await Broker.start({ STOMPBOX_SOCKJS_HEARTBEAT: "1s" });
  browser = await launch();
});
after(async () => {
  await browser?.close();
  assert.equal(await broker.remove(), 0);
});

const module = (name) => fileURLToPath(new URL(`node_modules/${name}`, import.meta.url));

// From a page of the broker's host, and from one of another origin, where eventsource
// needs the iframe.
const transports = ["websocket", "xhr-streaming", "xhr-polling", "eventsource", "htmlfile", "jsonp-polling"].map((transport) => ({ transport, host: "127.0.0.1" }))
  .concat(["websocket", "xhr-streaming", "iframe-eventsource", "jsonp-polling"].map((transport) => ({ transport, host: "localhost" })));

for (const { transport, host } of transports) {
  test(`STOMP over SockJS: ${transport}, from ${host}`, async () => {
    const page = await browser.newPage();
    await page.goto(`http://${host}:${broker.http}/healthz`);
    await page.addScriptTag({ path: module("sockjs-client/dist/sockjs.js") });
    await page.addScriptTag({ path: module("@stomp/stompjs/bundles/stomp.umd.js") });
    const result = await page.evaluate(async ({ transport, url, token }) => {
      let socket;
      const errors = [];
      const client = new StompJs.Client({
        webSocketFactory: () => (socket = new SockJS(url, null, { transports: [transport] })),
        connectHeaders: { Authorization: `Bearer ${token}` },
        heartbeatIncoming: 1000, heartbeatOutgoing: 1000, reconnectDelay: 0,
        onStompError: (f) => errors.push(f.headers.message),
      });
      await new Promise((resolve) => { client.onConnect = resolve; client.activate(); });
      const seen = [];
      const done = new Promise((resolve) => {
        client.subscribe("/topic/sockjs", (m) => { seen.push(m.body); if (m.body === "last") resolve(); });
      });
      const large = "ä€😀".repeat(20000);
      for (let i = 0; i < 200; i++) client.publish({ destination: "/topic/sockjs", body: String(i) });
      client.publish({ destination: "/topic/sockjs", body: large });
      await new Promise((resolve) => setTimeout(resolve, 1500)); // heart-beats go both ways meanwhile
      client.publish({ destination: "/topic/sockjs", body: "last" });
      await done;
      const used = socket.transport, connected = client.connected;
      const receipt = new Promise((resolve) => { client.onDisconnect = resolve; });
      client.deactivate();
      await receipt;
      return { used, connected, errors, numbers: seen.slice(0, 200), large: seen[200] === large, count: seen.length };
    }, { transport, url: `${broker.page}sockjs`, token: await devToken(broker, "alice") });
    assert.deepEqual(result, { used: transport, connected: true, errors: [], numbers: Array.from({ length: 200 }, (_, i) => String(i)), large: true, count: 202 });
    await page.close();
  });
}

test("a token that is wrong is refused over SockJS as elsewhere", async () => {
  const page = await browser.newPage();
  await page.goto(`${broker.page}healthz`);
  await page.addScriptTag({ path: module("sockjs-client/dist/sockjs.js") });
  await page.addScriptTag({ path: module("@stomp/stompjs/bundles/stomp.umd.js") });
  const message = await page.evaluate(() => new Promise((resolve) => {
    const client = new StompJs.Client({
      webSocketFactory: () => new SockJS("/sockjs", null, { transports: ["xhr-polling"] }),
      connectHeaders: { Authorization: "Bearer nonsense" }, reconnectDelay: 0,
      onStompError: (f) => resolve(f.headers.message),
    });
    client.activate();
  }));
  assert.equal(message, "authentication failed");
  await page.close();
});
