// EventSource in headless Chromium: two tabs, and a broker that is restarted.
import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import path from "node:path";
import { after, before, test } from "node:test";
import { Client } from "@stomp/stompjs";
import { Broker, sleep } from "./broker.js";
import { devToken, launch } from "./browser.js";
import { tested } from "./documents.js";

let broker, browser, publisher;
before(async () => {
  broker = await Broker.start();
  await broker.stop();
  const file = path.join(broker.dir, "stompbox.yaml");
  writeFileSync(file, `history: { policies: [ { name: prices, match: "/topic/prices.*", max_age: 1h }, { name: notes, match: "/user/*/queue/notes" } ] }\nevents: { retry: 300ms, max_lifetime: 3s, cookie: token, heartbeat: 1s }\n`);
  broker.args = ["-c", file];
  await broker.run();
  browser = await launch();
  publisher = new Client({ brokerURL: broker.url, connectHeaders: { login: "guest", passcode: "guest" }, reconnectDelay: 100 });
  publisher.activate();
  await until(() => publisher.connected);
});
after(async () => {
  await browser?.close();
  await publisher?.deactivate();
  assert.equal(await broker.remove(), 0);
});

const until = async (ready) => {
  for (let i = 0; i < 400 && !(await ready()); i++) await sleep(50);
  assert.ok(await ready());
};

// confirmed sends, and sends again until the broker has it.
async function confirmed(destination, body) {
  const receipt = `${destination} ${body}`;
  for (;;) {
    await until(() => publisher.connected);
    const done = await Promise.race([
      new Promise((resolve) => {
        publisher.watchForReceipt(receipt, () => resolve(true));
        publisher.publish({ destination, body, headers: { receipt, "dedup-id": receipt } });
      }),
      sleep(2000).then(() => false),
    ]);
    if (done) return;
  }
}

async function openTab(context, query) {
  const page = await context.newPage();
  await page.goto(broker.page);
  await page.evaluate((query) => {
    window.seen = []; window.gaps = 0; window.connections = 0;
    const source = new EventSource(`/events?${query}`, { withCredentials: true });
    source.onmessage = (e) => seen.push(e.data);
    source.addEventListener("connected", () => connections++);
    source.addEventListener("replay-incomplete", () => gaps++);
    source.onerror = () => { if (source.readyState === EventSource.CLOSED) window.failed = true; };
  }, query);
  await until(() => page.evaluate(() => connections > 0));
  return page;
}

test("two tabs get every event once while the broker restarts and streams end", async () => {
  const token = await devToken(broker, "alice");
  const context = await browser.newContext();
  const query = `destination=/topic/prices.a&destination=/topic/prices.b&destination=/user/queue/notes&access_token=${token}`;
  const tabs = [await openTab(context, query), await openTab(context, query)];
  const sent = [];
  let sending = true;
  const load = (async () => {
    for (let i = 0; sending; i++) {
      for (const [destination, mark] of [["/topic/prices.a", "a"], ["/topic/prices.b", "b"], ["/user/alice/queue/notes", "n"]]) {
        await confirmed(destination, `${mark}${i}`);
        sent.push(`${mark}${i}`);
      }
      await sleep(10);
    }
  })();
  for (let round = 0; round < 2; round++) {
    await sleep(1500);
    await broker.stop();
    await sleep(500);
    await broker.run();
  }
  await sleep(4000); // longer than a stream lives
  sending = false;
  await load;
  for (const tab of tabs) {
    await until(async () => (await tab.evaluate(() => seen.length)) >= sent.length);
    const { seen, gaps, connections, failed } = await tab.evaluate(() => ({ seen, gaps, connections, failed: window.failed }));
    assert.equal(failed, undefined, "the browser reconnects by itself");
    assert.deepEqual([...seen].sort(), [...sent].sort(), "nothing missed, nothing twice");
    for (const mark of "abn") {
      const numbers = seen.filter((s) => s[0] === mark).map((s) => Number(s.slice(1)));
      assert.deepEqual(numbers, numbers.map((_, i) => i), `${mark} in order`);
    }
    assert.equal(gaps, 0);
    assert.ok(connections >= 4, `${connections} connections`);
  }
  await context.close();
});

test("a page uses the token in its cookie", async () => {
  const context = await browser.newContext();
  await context.addCookies([{ name: "token", value: await devToken(broker, "carol"), url: broker.page }]);
  const tab = await openTab(context, "destination=/user/queue/notes");
  await confirmed("/user/carol/queue/notes", "for carol");
  await until(async () => (await tab.evaluate(() => seen)).includes("for carol"));
  await context.close();
});

test("the first lines of the documents show what comes", async () => {
  const context = await browser.newContext();
  await context.addCookies([{ name: "token", value: await devToken(broker, "dave"), url: broker.page }]);
  const page = await context.newPage();
  await page.goto(broker.page);
  await page.evaluate((code) => {
    window.seen = []; window.reloads = 0; window.opened = 0;
    const events = new Function("show", "reloadEverything", `${code}\nreturn events;`)((data) => seen.push(data), () => reloads++);
    events.addEventListener("connected", () => opened++);
  }, tested("docs/sse.md", "sse")[0].text);
  await until(() => page.evaluate(() => opened > 0));
  await confirmed("/topic/prices.first", "gold");
  await confirmed("/user/dave/queue/notifications", "for dave");
  await until(async () => (await page.evaluate(() => seen)).length === 2);
  assert.deepEqual((await page.evaluate(() => seen)).sort(), ["for dave", "gold"]);
  await context.close();
});

test("the watchdog of the documents comes back from a network that is silent", async () => {
  const [, code] = tested("docs/sse.md", "sse")[1].text.match(/^(function follow.*?)\nfollow\(/s);
  const context = await browser.newContext();
  const page = await context.newPage();
  await page.goto(broker.page);
  const url = `/events?destination=/topic/prices.silent&heartbeat=event&access_token=${await devToken(broker, "alice")}`;
  await page.evaluate(({ code, url }) => {
    window.seen = []; window.opened = 0; window.subscribed = 0;
    window.EventSource = class extends EventSource {
      constructor(url) { super(url); opened++; this.addEventListener("connected", () => subscribed++); }
    };
    const follow = eval(`(${code})`);
    follow(url, (e) => seen.push(e.data));
  }, { code, url });
  await until(() => page.evaluate(() => subscribed > 0));
  await confirmed("/topic/prices.silent", "before");
  await until(async () => (await page.evaluate(() => seen)).includes("before"));
  const opened = await page.evaluate(() => window.opened);
  broker.process.kill("SIGSTOP"); // nothing comes, and nothing says so
  await until(async () => (await page.evaluate(() => window.opened)) > opened);
  broker.process.kill("SIGCONT");
  await confirmed("/topic/prices.silent", "after");
  await until(async () => (await page.evaluate(() => seen)).includes("after"));
  assert.deepEqual(await page.evaluate(() => seen), ["before", "after"]);
  await context.close();
});
