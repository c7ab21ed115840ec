// docs/quickstart-frontend.md, as it stands there, in a browser.
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import os from "node:os";
import path from "node:path";
import { after, before, test } from "node:test";
import { Broker, freePort, sleep } from "./broker.js";
import { launch } from "./browser.js";
import { blocks, root, tested } from "./documents.js";

const file = "docs/quickstart-frontend.md";
let folder, pagePort, brokerPort, serve, node, browser;

const text = (mark) => blocks(file).find((b) => b.mark === `file: ${mark}`).text
  .replaceAll("127.0.0.1:8080", `127.0.0.1:${brokerPort}`).replaceAll("5173", String(pagePort));

// start runs a program until it printed something.
async function start(command, args, said) {
  const child = spawn(command, args, { cwd: folder, stdio: ["ignore", "pipe", "pipe"] });
  let printed = "";
  for (const stream of [child.stdout, child.stderr]) stream.on("data", (d) => { printed += d; });
  child.exited = new Promise((resolve) => child.once("exit", resolve));
  for (let i = 0; i < 600 && !printed.includes(said); i++) await sleep(50);
  assert.ok(printed.includes(said), printed);
  return child;
}
const startBroker = () => start(path.join(root, "bin/stompbox"), ["serve", "--http", `127.0.0.1:${brokerPort}`], "stompbox is serving");

before(async () => {
  folder = mkdtempSync(path.join(os.tmpdir(), "stompbox-quickstart-"));
  pagePort = await freePort();
  brokerPort = await freePort();
  writeFileSync(path.join(folder, "jwt.secret"), "c2VjcmV0IG9mIHRoaXMgdGVzdCwgbG9uZyBlbm91Z2ggZm9yIGl0\n");
  for (const name of ["stompbox.yaml", "server.mjs", "index.html"]) writeFileSync(path.join(folder, name), text(name));
  writeFileSync(path.join(folder, "connection.js"), tested("docs/reconnecting.md", "reconnecting")[0].text);
  serve = await startBroker();
  node = await start(process.execPath, ["server.mjs"], `open http://127.0.0.1:${pagePort}/?user=alice`);
  browser = await launch();
});
after(async () => {
  await browser?.close();
  for (const child of [serve, node]) {
    child?.kill("SIGTERM");
    await child?.exited;
  }
  rmSync(folder, { recursive: true, force: true });
});

async function open(user) {
  const page = await (await browser.newContext()).newPage();
  // STOMP.js of this project's tests in place of the content delivery network's.
  await page.route("https://cdn.jsdelivr.net/**", (route) => route.fulfill({
    contentType: "text/javascript",
    body: readFileSync(path.join(root, "interop/js/node_modules/@stomp/stompjs/bundles/stomp.umd.js"), "utf8") + "\nexport const { Client, ReconnectionTimeMode } = globalThis.StompJs;",
  }));
  page.problems = [];
  page.on("pageerror", (e) => page.problems.push(e));
  await page.goto(`http://127.0.0.1:${pagePort}/?user=${user}`);
  return page;
}
const says = async (page, words) => { await page.fill("#text", words); await page.press("#text", "Enter"); };
const sees = (page, words) => page.waitForSelector(`li:text-is(${JSON.stringify(words)})`, { timeout: 60_000 });

test("the quick start's page chats, in public and in private, over a restart", async () => {
  const alice = await open("alice"), bob = await open("bob");
  await says(alice, "hello");
  await sees(alice, "alice: hello");
  await sees(bob, "alice: hello");
  await says(alice, "@bob psst");
  await sees(bob, "alice, to you alone: psst");
  serve.kill("SIGINT");
  assert.equal(await serve.exited, 0);
  await says(alice, "while it was away");
  serve = await startBroker();
  await sees(bob, "alice: while it was away");
  assert.equal(await alice.locator("li", { hasText: "to you alone" }).count(), 0);
  assert.equal(await bob.locator("li", { hasText: "missing" }).count(), 0);
  assert.deepEqual([...alice.problems, ...bob.problems], []);
});

test("README's snippet runs in the console of the chat page", async () => {
  const broker = await Broker.start({}, ["-c", path.join(root, "examples/chat.yaml")]);
  try {
    const page = await browser.newPage();
    const said = [];
    page.on("console", (m) => said.push(m.text()));
    await page.goto(broker.page);
    const [connect, publish, cut] = tested("README.md", "console");
    const devTools = await page.context().newCDPSession(page);
    const paste = async (expression) => {
      const { exceptionDetails, result } = await devTools.send("Runtime.evaluate", { expression, replMode: true });
      assert.equal(exceptionDetails, undefined);
      return result.value;
    };
    const connected = async (wanted) => { for (let i = 0; i < 600 && (await paste("stomp.connected")) !== wanted; i++) await sleep(50); };
    await paste(connect.text.replaceAll("127.0.0.1:8080", `127.0.0.1:${broker.http}`));
    await connected(true);
    await paste(publish.text);
    for (let i = 0; i < 600 && !said.includes(publish.output.trim()); i++) await sleep(50);
    await paste(cut.text);
    await connected(false);
    const sent = await fetch(`${broker.page}api/send`, {
      method: "POST", headers: { Authorization: `Bearer ${await broker.token("bob")}`, "Content-Type": "application/json" },
      body: JSON.stringify({ destination: "/topic/chat.lobby", body: "while you were away" }),
    });
    assert.equal(sent.status, 200);
    for (let i = 0; i < 600 && !said.includes("bob says while you were away"); i++) await sleep(50);
    assert.deepEqual(said.filter((line) => line.includes("says")), [publish.output.trim(), "bob says while you were away"]);
  } finally {
    await broker.remove();
  }
});
