// What a STOMP client may rely on, with @stomp/stompjs, @stomp/rx-stomp and SockJS's client:
// versions, receipts, acknowledgement modes, header escapes, errors, and the end of connections.
import assert from "node:assert/strict";
import { createRequire } from "node:module";
import { after, before, test } from "node:test";
import { RxStomp, RxStompRPC, RxStompState } from "@stomp/rx-stomp";
import { Client, ReconnectionTimeMode, TickerStrategy, Versions } from "@stomp/stompjs";
import { filter, firstValueFrom } from "rxjs";
import WebSocket from "ws";
import { Broker, Inbox, freePort, sleep } from "./broker.js";

const SockJS = createRequire(import.meta.url)("sockjs-client");

let broker;
before(async () => { broker = await Broker.start(); });
after(async () => assert.equal(await broker.remove(), 0));

// connect resolves once the client is connected; ends are what its connections ended with.
function connect(config = {}) {
  const ends = new Inbox(), errors = new Inbox();
  return new Promise((resolve) => {
    const client = new Client({
      brokerURL: broker.url, reconnectDelay: 0, connectHeaders: { login: "guest", passcode: "guest" }, heartbeatIncoming: 0, heartbeatOutgoing: 0,
      onStompError: errors.put, onWebSocketClose: ends.put, onConnect: (frame) => resolve({ client, frame, ends, errors }), ...config,
    });
    client.activate();
  });
}

let receipts = 0;
const receipt = (client, action) => new Promise((resolve) => {
  const id = `r${++receipts}`;
  client.watchForReceipt(id, resolve);
  action(id);
});

async function subscribe(client, destination, headers = {}) {
  const inbox = new Inbox();
  let subscription;
  await receipt(client, (id) => { subscription = client.subscribe(destination, inbox.put, { ...headers, receipt: id }); });
  return { inbox, subscription };
}

const send = (client, destination, body, headers = {}) => receipt(client, (id) => client.publish({ destination, body, headers: { ...headers, receipt: id } }));

// raw is a WebSocket that sends frames as they are written, and takes what comes apart.
async function raw(...protocols) {
  const socket = new WebSocket(broker.url, protocols);
  const frames = new Inbox(), end = new Promise((resolve) => socket.on("close", (code, reason) => resolve({ code, reason: String(reason) })));
  socket.on("message", (data) => {
    const text = String(data);
    if (!text.trim()) return;
    const [head, body] = text.split(/\n\n([^]*)/, 2);
    const [command, ...lines] = head.split("\n");
    frames.put({ command, headers: Object.fromEntries(lines.map((l) => l.split(/:(.*)/s, 2))), body: body?.replace(/\0[^]*$/, "") });
  });
  await new Promise((resolve) => socket.once("open", resolve));
  return { socket, frames, end, send: (text) => socket.send(text.replaceAll("^@", "\0")) };
}

test("versions: the highest in common, or an ERROR that names the broker's", async () => {
  for (const [offered, agreed] of [["1.0", "1.0"], ["1.1", "1.1"], ["1.2", "1.2"], ["1.0,1.1", "1.1"], ["1.2,1.1,1.0", "1.2"], ["1.2,9.9", "1.2"]]) {
    const { client } = await connect({ stompVersions: new Versions(offered.split(",")) });
    assert.equal(client.connectedVersion, agreed, offered);
    await client.deactivate();
  }
  for (const subprotocol of ["v10.stomp", "v11.stomp", "v12.stomp"]) {
    assert.equal((await raw(subprotocol, "other")).socket.protocol, subprotocol);
  }
  for (const offered of ["2.0", ""]) {
    const { send: write, frames, end } = await raw();
    write(`CONNECT\naccept-version:${offered}\nhost:x\nlogin:guest\npasscode:guest\n\n^@`);
    const error = await frames.next();
    assert.equal(error.command, "ERROR");
    assert.equal(error.headers.version, "1.0,1.1,1.2");
    assert.equal((await end).code, 1002);
  }
});

test("CONNECTED says version, session, server, user and heart-beats", async () => {
  const { client, frame } = await connect({ heartbeatIncoming: 20000, heartbeatOutgoing: 30000 });
  assert.equal(frame.headers.version, "1.2");
  assert.equal(frame.headers["user-name"], "guest");
  assert.match(frame.headers.server, /^stompbox\//);
  assert.match(frame.headers.session, /./);
  assert.match(frame.headers["heart-beat"], /^\d+,\d+$/);
  await client.deactivate();
});

for (const version of ["1.0", "1.1", "1.2"]) {
  test(`STOMP ${version}: what each ack mode leaves in a queue`, async () => {
    const modes = version === "1.0" ? ["auto", "client"] : ["auto", "client", "client-individual"];
    for (const ack of modes) {
      const queue = `/queue/conformance-${version}-${ack}`;
      const { client } = await connect({ stompVersions: new Versions([version]) });
      const { inbox } = await subscribe(client, queue, { ack });
      for (const body of ["a", "b", "c"]) await send(client, queue, body);
      const all = [await inbox.next(), await inbox.next(), await inbox.next()];
      assert.deepEqual(all.map((m) => m.body), ["a", "b", "c"]);
      if (ack !== "auto") await receipt(client, (id) => all[1].ack({ receipt: id }));
      await client.deactivate();
      const other = await connect();
      const left = await subscribe(other.client, queue, { ack: "client-individual" });
      const want = { auto: [], client: ["c"], "client-individual": ["a", "c"] }[ack];
      for (const body of want) {
        const m = await left.inbox.next();
        assert.equal(m.body, body);
        assert.equal(m.headers.redelivered, "true");
        m.ack();
      }
      await send(other.client, queue, "end");
      assert.equal((await left.inbox.next()).body, "end", `${ack}: nothing else was left`);
      await other.client.deactivate();
    }
  });
}

test("NACK brings a message again at once; acknowledging twice does no harm", async () => {
  const { client, errors } = await connect();
  const { inbox, subscription } = await subscribe(client, "/queue/conformance-nack", { ack: "client-individual" });
  await send(client, "/queue/conformance-nack", "x");
  const first = await inbox.next();
  first.nack();
  const second = await inbox.next();
  assert.equal(second.headers["delivery-count"], "2");
  assert.notEqual(second.headers.ack, first.headers.ack);
  await receipt(client, (id) => second.ack({ receipt: id }));
  await receipt(client, (id) => second.ack({ receipt: id }));
  await receipt(client, (id) => first.nack({ receipt: id }));
  await receipt(client, (id) => subscription.unsubscribe({ receipt: id }));
  await receipt(client, (id) => client.unsubscribe(subscription.id, { receipt: id }));
  assert.deepEqual(errors.items, []);
  await client.deactivate();
});

test("a transaction: nothing before COMMIT, nothing after ABORT", async () => {
  const { client } = await connect();
  const { inbox } = await subscribe(client, "/topic/conformance-tx");
  for (const end of ["abort", "commit"]) {
    const tx = client.begin();
    for (const n of [1, 2]) client.publish({ destination: "/topic/conformance-tx", body: `${end} ${n}`, headers: { transaction: tx.id } });
    await send(client, "/topic/conformance-tx", `before ${end}`);
    assert.equal((await inbox.next()).body, `before ${end}`);
    tx[end]();
  }
  assert.equal((await inbox.next()).body, "commit 1");
  assert.equal((await inbox.next()).body, "commit 2");
  await client.deactivate();
});

test("header escapes of 1.2, bodies with NULs, empty ones, and large ones in pieces", async () => {
  const { client } = await connect({ splitLargeFrames: true, maxWebSocketChunkSize: 4096 });
  const { inbox } = await subscribe(client, "/topic/conformance-bodies");
  const value = "colon: backslash \\ line\nreturn\r end";
  await send(client, "/topic/conformance-bodies", "", { value });
  const empty = await inbox.next();
  assert.equal(empty.headers.value, value);
  assert.equal(empty.body, "");
  const bytes = Uint8Array.from({ length: 300_000 }, (_, i) => i % 256);
  await receipt(client, (id) => client.publish({ destination: "/topic/conformance-bodies", binaryBody: bytes, headers: { receipt: id } }));
  assert.deepEqual(Buffer.from((await inbox.next()).binaryBody), Buffer.from(bytes));
  await send(client, "/topic/conformance-bodies", "ä€😀".repeat(100_000));
  assert.equal((await inbox.next()).body, "ä€😀".repeat(100_000));
  await client.deactivate();
});

test("an ERROR has a code, a message and the receipt, and the connection its close code", async () => {
  for (const [frame, code, close] of [
    ["SEND\ndestination:/nowhere/a\nreceipt:r:1\n\n^@", "destination", 1002],
    ["SUBSCRIBE\nid:1\ndestination:/topic/a\nselector:a = 1\nreceipt:r\\c1\n\n^@", "bad-header", 1002],
    ["COMMIT\ntransaction:none\nreceipt:r\\c1\n\n^@", "transaction", 1002],
    ["NONSENSE\nreceipt:r\\c1\n\n^@", "command", 1002],
  ]) {
    const { send: write, frames, end } = await raw("v12.stomp");
    write("CONNECT\naccept-version:1.2\nhost:x\nlogin:guest\npasscode:guest\n\n^@");
    assert.equal((await frames.next()).command, "CONNECTED");
    write(frame.replace("r:1", "r\\c1"));
    const error = await frames.next();
    assert.equal(error.command, "ERROR", frame);
    assert.match(error.headers.code, new RegExp(code));
    assert.equal(error.headers["receipt-id"], "r\\c1");
    assert.match(error.headers.message, /./);
    assert.equal((await end).code, close);
  }
});

test("the end: a RECEIPT for DISCONNECT, the client's Close code back, 1007 for what is no text, 1012 at a stop", async () => {
  const connected = async () => {
    const r = await raw("v12.stomp");
    r.send("CONNECT\naccept-version:1.2\nhost:x\nlogin:guest\npasscode:guest\n\n^@");
    await r.frames.next();
    return r;
  };
  const polite = await connected();
  polite.send("DISCONNECT\nreceipt:bye\n\n^@");
  assert.equal((await polite.frames.next()).headers["receipt-id"], "bye");
  assert.equal((await polite.end).code, 1000);
  const closing = await connected();
  closing.send("SEND\ndestination:/queue/conformance-close\nreceipt:stored\n\nx^@");
  closing.socket.close(4242, "enough");
  assert.equal((await closing.frames.next()).headers["receipt-id"], "stored", "what was sent before is answered");
  assert.equal((await closing.end).code, 4242);
  const garbled = await connected();
  garbled.socket.send(Buffer.from([0xff, 0xfe, 0]), { binary: false });
  assert.equal((await garbled.end).code, 1007);
  const stopped = await Broker.start();
  const socket = new WebSocket(stopped.url, "v12.stomp");
  await new Promise((resolve) => socket.once("open", resolve));
  socket.send("CONNECT\naccept-version:1.2\nhost:x\nlogin:guest\npasscode:guest\n\n\0");
  await new Promise((resolve) => socket.once("message", resolve));
  const end = new Promise((resolve) => socket.on("close", resolve));
  assert.equal(await stopped.remove(), 0);
  assert.equal(await end, 1012);
});

test("beforeConnect has a fresh token for each connection, and subscriptions come back", async () => {
  let connects = 0;
  const again = new Inbox(), inbox = new Inbox(), tokens = [];
  const client = new Client({
    brokerURL: broker.url, reconnectDelay: 50, maxReconnectDelay: 200, reconnectTimeMode: ReconnectionTimeMode.EXPONENTIAL,
    heartbeatStrategy: TickerStrategy.Interval,
    beforeConnect: async () => {
      tokens.push(await broker.token(`user${connects}`));
      client.connectHeaders = { Authorization: `Bearer ${tokens.at(-1)}` };
    },
    onConnect: (frame) => {
      connects++;
      client.watchForReceipt(`again${connects}`, () => again.put(frame.headers["user-name"]));
      client.subscribe("/topic/conformance-again", inbox.put, { receipt: `again${connects}` });
    },
  });
  client.activate();
  for (let i = 0; i < 3; i++) {
    assert.equal(await again.next(), `user${i}`);
    client.publish({ destination: "/topic/conformance-again", body: String(i) });
    assert.equal((await inbox.next()).body, String(i));
    if (i < 2) client.forceDisconnect();
  }
  assert.equal(new Set(tokens).size, 3);
  await client.deactivate();
});

test("webSocketFactory: SockJS under STOMP.js, its receipts and its end", async () => {
  const { client, ends } = await connect({ brokerURL: undefined, webSocketFactory: () => new SockJS(`${broker.page}sockjs`) });
  const { inbox } = await subscribe(client, "/topic/conformance-sockjs");
  await send(client, "/topic/conformance-sockjs", "over SockJS \u200c\ufeff");
  assert.equal((await inbox.next()).body, "over SockJS \u200c\ufeff");
  await client.deactivate();
  assert.equal((await ends.next()).code, 1000);
});

const rxConfig = () => ({ brokerURL: broker.url, connectHeaders: { login: "guest", passcode: "guest" }, reconnectDelay: 50 });

test("rx-stomp: states, what is published before the connection, watch over a reconnect, RPC", async () => {
  const rx = new RxStomp(), states = [];
  rx.connectionState$.subscribe((s) => states.push(s));
  rx.configure(rxConfig());
  const seen = new Inbox();
  rx.watch({ destination: "/queue/conformance-rx", subHeaders: { ack: "client-individual" } }).subscribe((m) => { m.ack(); seen.put(m.body); });
  rx.publish({ destination: "/queue/conformance-rx", body: "early" });
  rx.activate();
  assert.equal(await seen.next(), "early");
  const ended = firstValueFrom(rx.connectionState$.pipe(filter((s) => s === RxStompState.CLOSED)));
  rx.stompClient.forceDisconnect();
  await ended; // what is published to a connection that ends is lost
  await firstValueFrom(rx.connected$);
  rx.publish({ destination: "/queue/conformance-rx", body: "later" });
  assert.equal(await seen.next(), "later");

  const server = new RxStomp();
  server.configure(rxConfig());
  server.activate();
  await firstValueFrom(server.connected$);
  const serving = new Promise((resolve) => server.watchForReceipt("serving", resolve));
  server.watch({ destination: "/queue/conformance-rpc", subHeaders: { receipt: "serving" } }).subscribe((m) => server.publish({
    destination: m.headers["reply-to"], body: `hello ${m.body}`, headers: { "correlation-id": m.headers["correlation-id"] },
  }));
  await serving;
  const rpc = new RxStompRPC(rx);
  for (const name of ["ann", "bob"]) assert.equal((await firstValueFrom(rpc.rpc({ destination: "/queue/conformance-rpc", body: name }))).body, `hello ${name}`);
  await rx.deactivate();
  await server.deactivate();
  assert.ok(states.includes(RxStompState.OPEN));
  assert.equal(states.at(-1), RxStompState.CLOSED);
});

test("rx-stomp: an ERROR comes on stompErrors$", async () => {
  const rx = new RxStomp();
  rx.configure({ ...rxConfig(), connectHeaders: { login: "guest", passcode: "wrong" }, reconnectDelay: 0 });
  const error = firstValueFrom(rx.stompErrors$);
  rx.activate();
  assert.match((await error).headers.message, /authentication failed/);
  await rx.deactivate();
});

test("a broker that is away is found when it comes", async () => {
  const late = new Broker();
  late.http = await freePort();
  late.tcp = await freePort();
  const connected = new Promise((resolve) => {
    const client = new Client({
      brokerURL: `ws://127.0.0.1:${late.http}/ws`, reconnectDelay: 50, connectHeaders: { login: "guest", passcode: "guest" },
      onConnect: () => resolve(client.deactivate()),
    });
    client.activate();
  });
  await sleep(200); // some tries that fail
  late.dir = `${broker.dir}/late`;
  late.env = {};
  await late.run();
  await connected;
  assert.equal(await late.stop(), 0);
});
