// The website of docs/, which make site builds: each page on a phone, in the dark.
import assert from "node:assert/strict";
import { existsSync, readdirSync, readFileSync, statSync } from "node:fs";
import http from "node:http";
import path from "node:path";
import { after, before, test } from "node:test";
import { launch } from "./browser.js";
import { root } from "./documents.js";

const site = path.join(root, "bin/site");
const skip = !existsSync(site) && !process.env.TEST_NEEDS_SITE && "run make site first";
const types = { ".html": "text/html", ".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml", ".json": "application/json", ".png": "image/png" };

let server, browser, url;
before(async () => {
  if (skip) return;
  server = http.createServer((request, response) => {
    let file = path.join(site, new URL(request.url, "http://localhost").pathname);
    if (existsSync(file) && statSync(file).isDirectory()) file = path.join(file, "index.html");
    if (!existsSync(file)) return response.writeHead(404).end();
    response.setHeader("Content-Type", types[path.extname(file)] ?? "application/octet-stream");
    response.end(readFileSync(file));
  });
  await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
  url = `http://127.0.0.1:${server.address().port}/`;
  browser = await launch();
});
after(async () => {
  await browser?.close();
  server?.close();
});

test("each page fits a phone, draws its pictures, and loads nothing from others", { skip }, async () => {
  const pages = ["", ...readdirSync(site, { withFileTypes: true }).filter((e) => e.isDirectory() && existsSync(path.join(site, e.name, "index.html"))).map((e) => `${e.name}/`)];
  assert.ok(pages.length > 30);
  const context = await browser.newContext({ viewport: { width: 390, height: 800 }, colorScheme: "dark" });
  const problems = [];
  const page = await context.newPage();
  page.on("pageerror", (e) => problems.push(`${page.url()}: ${e}`));
  page.on("request", (r) => { if (!r.url().startsWith(url) && !r.url().startsWith("data:") && !r.url().startsWith("blob:")) problems.push(`${page.url()} loads ${r.url()}`); });
  page.on("response", (r) => { if (r.status() >= 400) problems.push(`${r.url()}: ${r.status()}`); });
  await context.route((u) => !u.href.startsWith(url) && u.protocol.startsWith("http"), (route) => route.abort());
  for (const name of pages) {
    await page.goto(url + name);
    const pictures = (readFileSync(path.join(site, name, "index.html"), "utf8").match(/<pre class="mermaid">/g) ?? []).length;
    // Material draws each picture into an element of class mermaid, in a closed shadow root.
    await page.waitForFunction((n) => document.querySelectorAll("pre.mermaid").length === 0 && document.querySelectorAll("div.mermaid").length === n, pictures, { timeout: 60_000 })
      .catch(() => problems.push(`${name}: a picture of ${pictures} was not drawn`));
    const width = await page.evaluate("document.documentElement.scrollWidth");
    if (width > 390) problems.push(`${name} is ${width} wide`);
    const dark = await page.evaluate("document.body.dataset.mdColorScheme");
    if (dark !== "slate") problems.push(`${name} is ${dark} in the dark`);
  }
  assert.deepEqual(problems, []);
});

test("the search finds an error's code", { skip }, async () => {
  const page = await browser.newPage();
  await page.goto(url);
  const found = page.locator(".md-search-result__link[href*='errors']").first();
  const input = page.locator(".md-search__input");
  for (let i = 0; i < 60 && !(await found.count()); i++) { // until the page listens, and the index is there
    await input.click(); // the page loads the index when the field gets the focus, which a filled field alone does not say
    await input.selectText();
    await page.keyboard.type("slow-consumer");
    await found.waitFor({ state: "attached", timeout: 1000 }).catch(() => {});
  }
  assert.ok(await found.count());
  await page.close();
});
