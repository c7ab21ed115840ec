// What sockjs-protocol wants of a server, asked of a real broker over bare HTTP and
// WebSocket. Where it wants an echo, a STOMP subscription is one.
import assert from "node:assert/strict";
import http from "node:http";
import net from "node:net";
import { after, before, test } from "node:test";
import WebSocket from "ws";
import { Broker, Inbox } from "./broker.js";

const origin = "https://app.example";
let broker;
before(async () => {
  broker = await Broker.start({ STOMPBOX_SOCKJS_COOKIE: "true", STOMPBOX_HTTP_ALLOWED_ORIGINS: origin });
});
after(async () => assert.equal(await broker.remove(), 0));

// request resolves when the answer begins; the path is sent as it stands.
const request = (method, path, { body, headers = {} } = {}) => new Promise((resolve, reject) => {
  const r = http.request({ port: broker.http, host: "127.0.0.1", method, path: `/sockjs${path}`, agent: false, headers: { ...headers, ...(method === "POST" && { "Content-Length": Buffer.byteLength(body ?? "") }) } }, resolve);
  r.once("error", reject);
  r.end(body);
});

const whole = async (answer) => {
  answer.setEncoding("utf8");
  let text = "";
  for await (const part of answer) text += part;
  return { status: answer.statusCode, headers: answer.headers, body: text };
};
const GET = async (path, headers) => whole(await request("GET", path, { headers }));
const POST = async (path, body, headers) => whole(await request("POST", path, { body, headers }));
const OPTIONS = async (path, headers) => whole(await request("OPTIONS", path, { headers }));

// Stream reads a streaming answer piece by piece.
class Stream {
  static async open(method, path) {
    const s = new Stream();
    s.answer = await request(method, path);
    s.answer.setEncoding("utf8");
    s.pieces = s.answer[Symbol.asyncIterator]();
    s.text = "";
    return s;
  }

  async want(text) {
    while (this.text.length < text.length) {
      const { value, done } = await this.pieces.next();
      assert.ok(!done, `the answer ended after ${JSON.stringify(this.text)}`);
      this.text += value;
    }
    assert.equal(this.text.slice(0, text.length), text);
    this.text = this.text.slice(text.length);
  }

  async ended() {
    assert.equal(this.text, "");
    assert.deepEqual(await this.pieces.next(), { value: undefined, done: true });
  }
}

let sessions = 0;
const session = () => `/000/${process.pid}-${sessions++}`;
const frame = (command, headers, body = "") => `${command}\n${Object.entries(headers).map(([k, v]) => `${k}:${v}\n`).join("")}\n${body}\0`;
const CONNECT = frame("CONNECT", { "accept-version": "1.2", login: "guest", passcode: "guest" });
const notCached = "no-store, no-cache, no-transform, must-revalidate, max-age=0";

// connect makes a STOMP session of an open session of SockJS over polling.
const connect = async (url) => {
  assert.equal((await POST(`${url}/xhr_send`, JSON.stringify([CONNECT]))).status, 204);
  assert.match((await POST(`${url}/xhr`)).body, /^a\["CONNECTED/);
};

const cacheable = (r) => {
  assert.match(r.headers["cache-control"], /public.*max-age=[1-9][0-9]{6}/);
  assert.ok(r.headers.expires);
  assert.equal(r.headers["last-modified"], undefined);
};
const cors = (r) => {
  assert.equal(r.headers["access-control-allow-origin"], origin);
  assert.equal(r.headers["access-control-allow-credentials"], "true");
};
const private_ = (r) => {
  assert.equal(r.headers["cache-control"], notCached);
  assert.equal(r.headers.expires, undefined);
  assert.equal(r.headers["last-modified"], undefined);
};
const type = (r, want) => assert.equal(r.headers["content-type"].replace(" ", ""), want);

test("the greeting, and nothing else", async () => {
  for (const path of ["", "/"]) {
    const r = await GET(path);
    assert.equal(r.status, 200);
    assert.equal(r.body, "Welcome to SockJS!\n");
    type(r, "text/plain;charset=UTF-8");
    assert.equal(r.headers["set-cookie"], undefined);
  }
  for (const path of ["/a", "/a.html", "//", "///", "/a/a", "/a/a/", "/a/"]) assert.equal((await GET(path)).status, 404, path);
});

test("the iframe page", async () => {
  const first = await GET("/iframe.html");
  for (const path of ["/iframe.html", "/iframe-a.html", "/iframe-.html", "/iframe-0.1.2.html", "/iframe-0.1.2abc-dirty.2144.html", "/iframe-a.html?t=1234"]) {
    const r = await GET(path);
    assert.equal(r.status, 200, path);
    type(r, "text/html;charset=UTF-8");
    cacheable(r);
    assert.equal(r.headers.etag, first.headers.etag);
    assert.match(r.body, /<script src="(\/|http)[^"]+"><\/script>\n {2}<script>\n {4}document.domain = document.domain;\n {4}SockJS.bootstrap_iframe\(\);\n/);
    assert.equal(r.headers["set-cookie"], undefined);
  }
  const again = await GET("/iframe.html", { "If-None-Match": first.headers.etag });
  assert.equal(again.status, 304);
  assert.equal(again.headers["content-type"], undefined);
  assert.equal(again.body, "");
  for (const path of ["/iframe.htm", "/iframe", "/IFRAME.HTML", "/IFRAME", "/iframe.HTML", "/iframe.xml", "/iframe-/.html"]) assert.equal((await GET(path)).status, 404, path);
});

test("info", async () => {
  const entropies = new Set();
  for (let i = 0; i < 2; i++) {
    const r = await GET("/info", { Origin: origin });
    assert.equal(r.status, 200);
    type(r, "application/json;charset=UTF-8");
    private_(r);
    cors(r);
    assert.equal(r.headers["set-cookie"], undefined);
    const { websocket, cookie_needed, origins, entropy } = JSON.parse(r.body);
    assert.deepEqual({ websocket, cookie_needed, origins }, { websocket: true, cookie_needed: true, origins: ["*:*"] });
    assert.ok(Number.isInteger(entropy) && entropy >= 0 && entropy < 2 ** 32);
    entropies.add(entropy);
  }
  assert.equal(entropies.size, 2);
});

test("preflights", async () => {
  for (const [path, method] of [["/info", "GET"], ["/abc/abc/xhr", "POST"], ["/abc/abc/xhr_send", "POST"], ["/abc/abc/xhr_streaming", "POST"]]) {
    for (const [asked, allowed] of [["a, b, c", "a, b, c"], ["", undefined], [undefined, undefined]]) {
      const r = await OPTIONS(path, { Origin: origin, "Access-Control-Request-Method": method, ...(asked !== undefined && { "Access-Control-Request-Headers": asked }) });
      assert.equal(r.status, 204, path);
      cacheable(r);
      cors(r);
      assert.ok(Number(r.headers["access-control-max-age"]) > 1e6);
      assert.equal(r.headers["access-control-allow-methods"], `OPTIONS, ${method}`);
      assert.equal(r.headers["access-control-allow-headers"], allowed);
      assert.equal(r.body, "");
    }
  }
});

test("the words of a session's path", async () => {
  const salt = `${process.pid}`;
  for (const path of [`/a/a${salt}`, `/_/_${salt}`, `/1/${salt}`, `/abcdefgh_i-j%20/abcdefg_i-j%20${salt}`]) assert.equal((await POST(`${path}/xhr`)).body, "o\n", path);
  for (const path of ["//", "/a./a", "/a/a.", "/./.", "/", "///"]) {
    assert.equal((await GET(`${path}/xhr`)).status, 404, path);
    assert.equal((await POST(`${path}/xhr`)).status, 404, path);
  }
  const id = `${salt}-ignoring`;
  assert.equal((await POST(`/000/${id}/xhr`)).body, "o\n");
  assert.equal((await POST(`/000/${id}/xhr_send`, JSON.stringify([CONNECT]))).status, 204);
  assert.match((await POST(`/999/${id}/xhr`)).body, /CONNECTED/);
});

test("methods", async () => {
  for (const [method, path, allow] of [["POST", "/0/0/websocket", "GET"], ["GET", "/0/0/xhr", "OPTIONS, POST"], ["POST", "/0/0/eventsource", "GET"]]) {
    const r = await whole(await request(method, path));
    assert.equal(r.status, 405);
    assert.equal(r.headers.allow, allow);
    assert.equal(r.headers["content-type"], undefined);
    assert.equal(r.body, "");
  }
  assert.equal((await GET("/0/0/websocket")).status, 400);
  assert.equal((await GET("/0/0/websocket", { Upgrade: "WebSocket", Connection: "close" })).status, 400);
});

test("xhr-polling", async () => {
  const url = session();
  let r = await POST(`${url}/xhr`, "", { Origin: origin });
  assert.deepEqual([r.status, r.body], [200, "o\n"]);
  type(r, "application/javascript;charset=UTF-8");
  cors(r);
  private_(r);
  r = await POST(`${url}/xhr_send`, JSON.stringify([CONNECT]), { Origin: origin });
  assert.deepEqual([r.status, r.body], [204, ""]);
  type(r, "text/plain;charset=UTF-8");
  cors(r);
  private_(r);
  assert.match((await POST(`${url}/xhr`)).body, /^a\["CONNECTED.*\\u0000"\]\n$/);
  for (const [body, says] of [['["x', "Broken JSON encoding."], ["", "Payload expected."]]) {
    r = await POST(`${url}/xhr_send`, body);
    assert.equal(r.status, 500);
    assert.ok(r.body.includes(says));
  }
  assert.equal((await POST(`${url}/xhr_send`, "[]")).status, 204);
  const types = ["text/plain", "T", "application/json", "application/xml", "", "application/json; charset=utf-8", "text/xml; charset=utf-8", "text/xml"];
  for (const kind of types) assert.equal((await POST(`${url}/xhr_send`, JSON.stringify([frame("BEGIN", { transaction: kind || "none", receipt: "r" })]), { "Content-Type": kind })).status, 204, kind);
  let receipts = 0;
  while (receipts < types.length) receipts += (await POST(`${url}/xhr`)).body.split("RECEIPT").length - 1;
  assert.equal((await POST(`${session()}/xhr_send`, '["a"]')).status, 404);
});

test("a second receiver, an abort, and the end", async () => {
  const url = session();
  const prelude = "h".repeat(2048) + "\n";
  const twice = 'c[2010,"Another connection still open"]\n';
  const first = await Stream.open("POST", `${url}/xhr_streaming`);
  await first.want(`${prelude}o\n`);
  const second = await Stream.open("POST", `${url}/xhr_streaming`);
  await second.want(prelude + twice);
  await second.ended();
  assert.equal((await POST(`${url}/xhr`)).body, twice);
  first.answer.destroy();
  let body;
  do ({ body } = await POST(`${url}/xhr`)); while (body === twice);
  assert.equal(body, 'c[1002,"Connection interrupted"]\n');

  const ending = session();
  await POST(`${ending}/xhr`);
  await connect(ending);
  await POST(`${ending}/xhr_send`, JSON.stringify([frame("DISCONNECT", {})]));
  for (let i = 0; i < 2; i++) assert.equal((await POST(`${ending}/xhr`)).body, 'c[3000,"Go away!"]\n');
  const late = await Stream.open("POST", `${ending}/xhr_streaming`);
  await late.want(`${prelude}c[3000,"Go away!"]\n`);
  await late.ended();
});

test("streams", async () => {
  for (const [method, path, kind, prelude, begin, end, quote] of [
    ["POST", "xhr_streaming", "application/javascript;charset=UTF-8", "h".repeat(2048) + "\n", "", "\n", '"'],
    ["GET", "eventsource", "text/event-stream", "\r\n", "data: ", "\r\n\r\n", '"'],
    ["GET", "htmlfile?c=%63allback", "text/html;charset=UTF-8", "", '<script>\np("', '");\n</script>\r\n', '\\"'],
  ]) {
    const url = session();
    const s = await Stream.open(method, `${url}/${path}`);
    assert.equal(s.answer.statusCode, 200);
    type(s.answer, kind);
    private_(s.answer);
    await s.want(prelude);
    if (path.startsWith("htmlfile")) {
      while (!s.text.includes("\r\n\r\n")) s.text += (await s.pieces.next()).value;
      assert.ok(s.text.length > 1024);
      assert.ok(s.text.startsWith("<!doctype html>\n"));
      assert.ok(s.text.includes("var c = parent.callback;"));
      s.text = s.text.slice(s.text.indexOf("\r\n\r\n") + 4);
    }
    await s.want(`${begin}o${end}`);
    await POST(`${url}/xhr_send`, JSON.stringify([CONNECT]));
    await s.want(`${begin}a[${quote}CONNECTED`);
    s.answer.destroy();
  }
});

test("jsonp", async () => {
  const url = session();
  const form = { "Content-Type": "application/x-www-form-urlencoded" };
  let r = await GET(`${url}/jsonp?c=%63allback`);
  assert.equal(r.body, '/**/callback("o");\r\n');
  type(r, "application/javascript;charset=UTF-8");
  private_(r);
  for (const [body, says] of [["d=%5B%22x", "Broken JSON encoding."], ["", "Payload expected."], ["d=", "Payload expected."], ["p=p", "Payload expected."]]) {
    r = await POST(`${url}/jsonp_send`, body, form);
    assert.equal(r.status, 500);
    assert.ok(r.body.includes(says));
  }
  r = await POST(`${url}/jsonp_send`, `d=${encodeURIComponent(JSON.stringify([CONNECT]))}`, form);
  assert.deepEqual([r.status, r.body], [200, "ok"]);
  type(r, "text/plain;charset=UTF-8");
  private_(r);
  assert.match((await GET(`${url}/jsonp?c=x`)).body, /^\/\*\*\/x\("a\[\\"CONNECTED.*\]"\);\r\n$/);
  for (const path of ["jsonp", "htmlfile"]) {
    r = await GET(`/a/a/${path}`);
    assert.equal(r.status, 500);
    assert.ok(r.body.includes('"callback" parameter required'));
    for (const callback of ["%20", "*", "abc(", "abc%28"]) {
      r = await GET(`/a/a/${path}?c=${callback}`);
      assert.equal(r.status, 500);
      assert.ok(r.body.includes('invalid "callback" parameter'));
    }
  }
});

test("the cookie, where it is asked for", async () => {
  for (const [method, path] of [["POST", "xhr"], ["POST", "xhr_streaming"], ["GET", "eventsource"], ["GET", "htmlfile?c=x"], ["GET", "jsonp?c=x"]]) {
    for (const [sent, set] of [[undefined, "dummy"], ["JSESSIONID=abcdef", "abcdef"]]) {
      const answer = await request(method, `${session()}/${path}`, { headers: sent && { Cookie: sent } });
      const [cookie] = answer.headers["set-cookie"];
      assert.match(cookie, new RegExp(`^JSESSIONID=${set}; Path=/(;|$)`, "i"), path);
      answer.destroy();
    }
  }
});

// socket opens a WebSocket whose messages, and at last its close code, are in an inbox.
const socket = async (path) => {
  const ws = new WebSocket(`ws://127.0.0.1:${broker.http}/sockjs${path}`);
  const inbox = new Inbox();
  ws.on("message", (data) => inbox.put(data.toString()));
  ws.on("close", (code) => inbox.put(code));
  await new Promise((resolve, reject) => ws.once("open", resolve).once("error", reject));
  return { ws, inbox };
};

test("WebSockets", async () => {
  const url = session();
  const a = await socket(`${url}/websocket`), b = await socket(`${url}/websocket`);
  for (const { ws, inbox } of [a, b]) {
    assert.equal(await inbox.next(), "o");
    ws.send("");
    ws.send("[]");
    ws.send(JSON.stringify([CONNECT]));
    assert.match(await inbox.next(), /^a\["CONNECTED/);
  }
  a.ws.close(1000);
  assert.equal(await a.inbox.next(), 1000);
  b.ws.send(JSON.stringify([frame("BEGIN", { transaction: "t", receipt: "r" })]));
  assert.match(await b.inbox.next(), /RECEIPT/);
  const again = await socket(`${url}/websocket`);
  assert.equal(await again.inbox.next(), "o");
  again.ws.send('["a');
  assert.equal(await again.inbox.next(), 1007);
  b.ws.send(JSON.stringify([frame("DISCONNECT", {})]));
  assert.equal(await b.inbox.next(), 'c[3000,"Go away!"]');
  assert.equal(await b.inbox.next(), 1000);

  const key = await new Promise((resolve, reject) => {
    const r = http.get({ port: broker.http, host: "127.0.0.1", path: `/sockjs${session()}/websocket`, agent: false, headers: { Upgrade: "websocket", Connection: "keep-alive, Upgrade", "Sec-WebSocket-Version": "13", "Sec-WebSocket-Key": "x3JJHMbDL1EzLkh9GBhXDw==" } });
    r.once("upgrade", (answer, conn) => { conn.destroy(); resolve(answer.headers["sec-websocket-accept"]); }).once("error", reject);
  });
  assert.equal(key, "HSmrc0sMlYUkAGmm5OPpG2HaGWk=");
});

test("raw WebSockets", async () => {
  const { ws, inbox } = await socket("/websocket");
  ws.send(CONNECT);
  assert.match(await inbox.next(), /^CONNECTED\n/);
  ws.send(frame("SUBSCRIBE", { id: "s", destination: "/topic/raw" }));
  ws.send(frame("SEND", { destination: "/topic/raw" }, "Hello world!\uffff"));
  assert.ok((await inbox.next()).endsWith("\n\nHello world!\uffff\0"));
  ws.send(frame("DISCONNECT", {}));
  assert.equal(await inbox.next(), 1000);
});

test("characters that browsers change", async () => {
  let text = "", escaped = "";
  for (const [from, to] of [[0x200c, 0x200f], [0x2028, 0x202f], [0x2060, 0x206f], [0xfff0, 0xffff]]) {
    for (let c = from; c <= to; c++) {
      text += String.fromCharCode(c);
      escaped += `\\u${c.toString(16).padStart(4, "0")}`;
    }
  }
  const url = session();
  await POST(`${url}/xhr`);
  await connect(url);
  await POST(`${url}/xhr_send`, JSON.stringify([frame("SUBSCRIBE", { id: "s", destination: "/topic/escapes" }), frame("SEND", { destination: "/topic/escapes" }, text)]));
  const { body } = await POST(`${url}/xhr`);
  assert.ok(body.includes(`\\n\\n${escaped}\\u0000"]`), body);
  // What the client escapes is read: it may escape anything.
  const sent = JSON.stringify([frame("SEND", { destination: "/topic/escapes" }, text)]).replace(/[\u2000-\uffff]/g, (c) => `\\u${c.charCodeAt(0).toString(16).padStart(4, "0")}`);
  await POST(`${url}/xhr_send`, sent);
  assert.ok(JSON.parse((await POST(`${url}/xhr`)).body.slice(1))[0].endsWith(`\n\n${text}\0`));
});

test("HTTP/1.0", async () => {
  const raw = (text) => new Promise((resolve, reject) => {
    let all = "";
    const conn = net.connect(broker.http, "127.0.0.1", () => conn.write(text));
    conn.setEncoding("utf8").on("data", (d) => { all += d; }).once("end", () => { conn.end(); resolve(all); }).once("error", reject);
  });
  const greeting = await raw("GET /sockjs HTTP/1.0\r\nHost: 127.0.0.1\r\n\r\n");
  assert.doesNotMatch(greeting, /transfer-encoding/i);
  assert.match(greeting, /content-length: 19\r\n(.*\r\n)*\r\nWelcome to SockJS!\n$/i);
  const url = session();
  await POST(`${url}/xhr`);
  await connect(url);
  await POST(`${url}/xhr_send`, JSON.stringify([frame("DISCONNECT", {})]));
  const stream = await raw(`POST /sockjs${url}/xhr_streaming HTTP/1.0\r\nHost: 127.0.0.1\r\nContent-Length: 0\r\n\r\n`);
  assert.doesNotMatch(stream, /transfer-encoding|content-length/i);
  assert.match(stream, /h{2048}\nc\[3000,"Go away!"\]\n$/);
});
