// A page in a hidden tab of headless Chromium, whose timers the browser lets run once a
// minute: its heart-beats do not come, and it stays connected all the same.
//
// Chromium spares pages with a WebSocket of their own, which older versions and other
// browsers do not. So the WebSocket is in a worker here, and STOMP.js with its timers in the
// page. The throttling begins after a minute, of a page that has painted something. The
// browser is driven by the DevTools protocol itself, as Playwright has pages believe that
// they are seen.
//
// It is no part of npm test: HIDDEN_SECONDS=360, which make interop-hidden sets, has it run.
// 95 are enough to see timers throttled.
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import http from "node:http";
import os from "node:os";
import path from "node:path";
import { after, before, test } from "node:test";
import { Client } from "@stomp/stompjs";
import WebSocket from "ws";
import { Broker, sleep } from "./broker.js";

const hidden = Number(process.env.HIDDEN_SECONDS ?? 0);
// Short ones are missed well before the short run is over.
const beat = hidden >= 300 ? 10 : 2;

class Browser {
  static async start() {
    const b = new Browser();
    b.profile = mkdtempSync(path.join(os.tmpdir(), "stompbox-hidden-"));
    b.process = spawn(process.env.CHROMIUM ?? "/usr/bin/chromium", ["--headless=new", "--no-sandbox", "--disable-gpu", "--no-first-run",
      "--remote-debugging-port=0", `--user-data-dir=${b.profile}`, "about:blank"],
    { stdio: ["ignore", "ignore", "pipe"] });
    b.exit = new Promise((resolve) => b.process.once("exit", resolve));
    const endpoint = await new Promise((resolve) => {
      let text = "";
      b.process.stderr.on("data", (d) => { text += d; const found = /DevTools listening on (\S+)/.exec(text); if (found) resolve(found[1]); });
    });
    b.socket = new WebSocket(endpoint);
    b.waiting = new Map();
    b.socket.on("message", (data) => {
      const { id, result, error } = JSON.parse(data);
      b.waiting.get(id)?.(error ? Promise.reject(new Error(error.message)) : result);
      b.waiting.delete(id);
    });
    await new Promise((resolve) => b.socket.once("open", resolve));
    return b;
  }

  count = 0;
  send(method, params = {}, sessionId = undefined) {
    const id = ++this.count;
    this.socket.send(JSON.stringify({ id, method, params, sessionId }));
    return new Promise((resolve) => this.waiting.set(id, resolve));
  }

  // open opens a tab, which hides the one before.
  async open(url) {
    const { targetId } = await this.send("Target.createTarget", { url });
    const { sessionId } = await this.send("Target.attachToTarget", { targetId, flatten: true });
    await this.send("Target.activateTarget", { targetId });
    const evaluate = async (expression) => {
      const { result, exceptionDetails } = await this.send("Runtime.evaluate", { expression, awaitPromise: true, returnByValue: true }, sessionId);
      if (exceptionDetails) throw new Error(exceptionDetails.exception?.description ?? exceptionDetails.text);
      return result.value;
    };
    const until = async (expression) => { while (!(await evaluate(expression))) await sleep(50); };
    return { evaluate, until };
  }

  async close() {
    this.socket.close();
    this.process.kill();
    await this.exit;
    // Its children end later than it does, and write until then. rmSync tries again, but does not
    // look again what is in a folder.
    for (let tries = 1; ; tries++) {
      try {
        return rmSync(this.profile, { recursive: true, force: true });
      } catch (error) {
        if (tries === 100) throw error;
        await sleep(100);
      }
    }
  }
}

const library = new URL("node_modules/@stomp/stompjs/bundles/stomp.umd.min.js", import.meta.url);

let broker, browser, site;
before(async () => {
  if (!hidden) return;
  broker = await Broker.start({ STOMPBOX_HEARTBEAT_SEND: `${beat}s`, STOMPBOX_HEARTBEAT_RECEIVE: `${beat}s` });
  browser = await Browser.start();
  site = http.createServer((_, answer) => {
    answer.setHeader("Content-Type", "text/html");
    answer.end(`<!doctype html><title>hidden</title><script>${readFileSync(library)}</script><h1>A page that nobody looks at</h1>`);
  }).listen(0, "127.0.0.1");
  await new Promise((resolve) => site.once("listening", resolve));
});
after(async () => {
  if (!hidden) return;
  try {
    await browser?.close();
  } finally {
    site?.close();
    assert.equal(await broker.remove(), 0);
  }
});

// What runs in the page: a client with STOMP.js's ordinary timers, and one whose heart-beats
// come from a worker.
const inThePage = (url, beat) => {
  const ofWorker = (text) => new Worker(URL.createObjectURL(new Blob([text])));
  // A WebSocket that lives in a worker, as far as STOMP.js needs one.
  class Socket {
    readyState = 0;
    constructor() {
      this.worker = ofWorker(`
        const socket = new WebSocket(${JSON.stringify(url)}, ["v12.stomp"]);
        socket.binaryType = "arraybuffer";
        socket.onopen = () => postMessage({ type: "open", protocol: socket.protocol });
        socket.onmessage = ({ data }) => postMessage({ type: "message", data });
        socket.onclose = ({ code, reason, wasClean }) => postMessage({ type: "close", code, reason, wasClean });
        onmessage = ({ data }) => (data.close ? socket.close() : socket.send(data.text));`);
      this.worker.onmessage = ({ data }) => {
        this.readyState = { open: 1, message: 1, close: 3 }[data.type];
        if (data.protocol) this.protocol = data.protocol;
        this["on" + data.type]?.(data);
      };
    }
    send(text) { this.worker.postMessage({ text }); }
    close() { this.readyState = 2; this.worker.postMessage({ close: true }); }
  }
  globalThis.ticks = [];
  setInterval(() => ticks.push(performance.now()), 1000);
  globalThis.clients = ["interval", "worker"].map((strategy) => {
    const seen = { connects: 0, closes: [], received: [], pings: 0 };
    const client = new StompJs.Client({
      webSocketFactory: () => new Socket(), connectHeaders: { login: "guest", passcode: "guest" }, reconnectDelay: 500,
      heartbeatIncoming: beat * 1000, heartbeatOutgoing: beat * 1000, heartbeatStrategy: strategy,
      debug: (line) => { if (line === ">>> PING") seen.pings++; },
      onConnect: () => {
        seen.connects++;
        client.subscribe("/topic/hidden", (m) => seen.received.push(m.body), { receipt: "subscribed" });
        client.watchForReceipt("subscribed", () => { seen.subscribed = true; });
      },
      onWebSocketClose: (e) => seen.closes.push(`${e.code} ${e.reason}`),
    });
    client.activate();
    return seen;
  });
};

test(`a tab that is hidden for ${hidden} seconds stays connected`, { skip: !hidden && "HIDDEN_SECONDS is not set", timeout: (hidden + 180) * 1000 }, async (t) => {
  const page = await browser.open(`http://127.0.0.1:${site.address().port}/`);
  await page.until("globalThis.StompJs !== undefined");
  await page.evaluate(`(${inThePage})(${JSON.stringify(broker.url)}, ${beat})`);
  await page.until("clients.every((seen) => seen.subscribed)");
  await page.until("document.readyState === 'complete' && performance.getEntriesByName('first-contentful-paint').length > 0");
  await sleep(2000); // what is hidden while it loads is spared for longer
  await browser.open("about:blank");
  await page.until("document.visibilityState === 'hidden'");
  const before = await page.evaluate("clients.map((seen) => seen.pings)");

  const publisher = new Client({ brokerURL: broker.url, connectHeaders: { login: "guest", passcode: "guest" } });
  const ready = new Promise((resolve) => { publisher.onConnect = resolve; });
  publisher.activate();
  await ready;
  const sent = [];
  for (const end = Date.now() + hidden * 1000; Date.now() < end; await sleep(5000)) {
    sent.push(String(sent.length));
    publisher.publish({ destination: "/topic/hidden", body: sent.at(-1) });
  }
  await page.until(`clients.every((seen) => seen.received.length >= ${sent.length} || seen.closes.length > 0)`);
  await publisher.deactivate();

  assert.equal(await page.evaluate("document.visibilityState"), "hidden");
  // The longest time in which no timer of the page ran, up to now.
  const gap = await page.evaluate("[...ticks, performance.now()].reduce((most, at, i, all) => Math.max(most, at - (all[i - 1] ?? at)), 0)");
  const [byTimer, byWorker] = await page.evaluate("clients");
  t.diagnostic(`no timer ran for ${Math.round(gap / 1000)} s; heart-beats sent: ${byTimer.pings - before[0]} by timers, ${byWorker.pings - before[1]} by a worker`);
  // The timers run on full minutes of some clock, so a short run has two parts of one.
  assert.ok(gap > (hidden >= 300 ? 50 : 12) * 1000, `the browser throttled no timer: ${gap} ms`);
  assert.ok(gap > 5 * beat * 1000, "longer than what the broker waits for a heart-beat");
  for (const seen of [byTimer, byWorker]) {
    assert.deepEqual(seen.closes, []);
    assert.equal(seen.connects, 1);
    assert.deepEqual(seen.received, sent);
  }
  assert.ok(byWorker.pings - before[1] >= hidden / beat / 2, "a worker's timers go on");
  assert.doesNotMatch(broker.log, /heart-beat-missing/);
});
