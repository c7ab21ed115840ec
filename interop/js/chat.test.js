// The chat page, driven by two users in headless Chromium. It also makes the
// screenshot of the README, when asked with SCREENSHOT=path.
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { Broker } from "./broker.js";
import { launch } from "./browser.js";

let broker, browser;
before(async () => {
  broker = await Broker.start();
  browser = await launch();
});
after(async () => {
  await browser?.close();
  assert.equal(await broker.remove(), 0);
});

async function join(name) {
  const context = await browser.newContext({ viewport: { width: 1000, height: 620 } });
  const page = await context.newPage();
  const problems = [];
  page.on("pageerror", (e) => problems.push(e));
  await page.goto(broker.page);
  await page.fill("#name", name);
  await page.click("text=Join the chat");
  await connected(page);
  return { page, problems };
}

const connected = (page) => page.waitForSelector("#state[data-state=connected]");
const says = async (page, text) => { await page.fill("#text", text); await page.press("#text", "Enter"); };
const sees = (page, text) => page.waitForSelector(`#messages li:has-text(${JSON.stringify(text)})`);

test("two users chat in a room and in private, also after the broker restarts", async () => {
  const alice = await join("alice");
  const bob = await join("bob");
  await says(alice.page, "Did the new broker survive the night?");
  await sees(bob.page, "Did the new broker survive the night?");
  await says(bob.page, "It did. 1000 tabs, one binary, no coffee needed.");
  await sees(alice.page, "1000 tabs");

  await bob.page.fill("#person-name", "alice");
  await bob.page.press("#person-name", "Enter");
  await says(bob.page, "between us: <b>not bold</b>");
  await alice.page.click("#people button:has-text('bob')");
  await sees(alice.page, "<b>not bold</b>");
  assert.equal(await alice.page.textContent("#destination"), "/user/bob/queue/chat");
  await alice.page.click("#rooms button:has-text('lobby')");
  await bob.page.click("#rooms button:has-text('lobby')");
  assert.equal(await bob.page.locator("#messages li").count(), 2, "private messages are not in the room");
  if (process.env.SCREENSHOT) await alice.page.screenshot({ path: process.env.SCREENSHOT });

  assert.equal(await broker.stop(), 0);
  await alice.page.waitForSelector("#state[data-state=disconnected], #state[data-state=connecting]");
  await broker.run();
  await connected(alice.page);
  await connected(bob.page);
  await says(alice.page, "and it is back");
  await sees(bob.page, "and it is back");
  assert.deepEqual([...alice.problems, ...bob.problems], []);
});
