// Clients of one server, each as its documentation recommends for what is missed, which
// note the number of each message that arrives.
// usage: recover.js KIND PORT TOKEN CLIENTS; prints "ready", and at the end of the input
// a JSON array of the numbers that each client has.
import WebSocket from "ws";
import { Client, ReconnectionTimeMode } from "@stomp/stompjs";
import { Centrifuge } from "centrifuge";
import { io } from "socket.io-client";

globalThis.WebSocket = WebSocket;
const [kind, port, token, count] = process.argv.slice(2);
const topic = "recovered";

// stomp is STOMP.js; connection has the headers of CONNECT, subscription those of SUBSCRIBE.
function stomp(i, path, destination, { connect, subscribe, acknowledge, received }, ready, note) {
  const client = new Client({
    brokerURL: `ws://127.0.0.1:${port}${path}`,
    connectHeaders: connect,
    connectionTimeout: 5000,
    discardWebsocketOnCommFailure: true,
    reconnectDelay: 500 + Math.random() * 500,
    reconnectTimeMode: ReconnectionTimeMode.EXPONENTIAL,
    maxReconnectDelay: 5000,
    onConnect: () => {
      const headers = subscribe();
      if (headers.receipt) client.watchForReceipt(headers.receipt, (frame) => { received?.(frame); ready(); });
      client.subscribe(destination, (message) => {
        note(message.body);
        received?.(message);
        if (acknowledge) message.ack();
      }, headers);
      if (!headers.receipt) setTimeout(ready, 1000);
    },
  });
  client.activate();
}

const kinds = {
  // docs/reconnecting.md: the id of the last message that was seen.
  stompbox(i, ready, note) {
    let last;
    stomp(i, "/ws", "/topic/recovered.all", {
      connect: { Authorization: `Bearer ${token}` },
      subscribe: () => ({ receipt: "subscribed", ...(last ? { "last-event-id": last } : {}) }),
      received: ({ headers }) => { last = headers["message-id"] ?? headers["last-event-id"] ?? last; },
    }, ready, note);
  },

  // Nothing is kept for those who are away.
  spring(i, ready, note) {
    stomp(i, "/ws", "/topic/recovered", { connect: { Authorization: `Bearer ${token}` }, subscribe: () => ({}) }, ready, note);
  },

  // A durable subscription, acknowledged.
  rabbitmq(i, ready, note) {
    stomp(i, "/ws", "/topic/recovered", {
      connect: { login: "guest", passcode: "guest" },
      subscribe: () => ({ id: `client-${i}`, durable: "true", "auto-delete": "false", ack: "client-individual", "prefetch-count": "100", receipt: "subscribed" }),
      acknowledge: true,
    }, ready, note);
  },

  artemis(i, ready, note) {
    stomp(i, "/", "/topic/recovered", {
      connect: { login: "guest", passcode: "guest", "client-id": `client-${i}` },
      subscribe: () => ({ "durable-subscription-name": `client-${i}`, ack: "client-individual", receipt: "subscribed" }),
      acknowledge: true,
    }, ready, note);
  },

  // Recovery from the history of a channel, which centrifuge-js does by itself.
  centrifugo(i, ready, note) {
    const client = new Centrifuge(`ws://127.0.0.1:${port}/connection/websocket`, { token, websocket: WebSocket });
    const subscription = client.newSubscription("recovered:all");
    subscription.on("publication", ({ data }) => note(String(data)));
    subscription.on("subscribed", ready);
    subscription.subscribe();
    client.connect();
  },

  // connectionStateRecovery: rooms and what was missed come back with the session.
  socketio(i, ready, note) {
    const socket = io(`http://127.0.0.1:${port}`, { transports: ["websocket"], auth: { token } });
    socket.on("connect", () => {
      if (socket.recovered) return;
      socket.emit("join", topic, ready);
    });
    socket.on("m", note);
  },

  // An ordered consumer of JetStream, which is made again after it was lost.
  async nats(i, ready, note) {
    const { wsconnect } = await import("@nats-io/nats-core");
    const { jetstream, jetstreamManager } = await import("@nats-io/jetstream");
    const connection = await wsconnect({ servers: `ws://127.0.0.1:${port}`, token, maxReconnectAttempts: -1, pingInterval: 10000, ignoreClusterUpdates: true });
    const manager = await jetstreamManager(connection);
    if (i === 0) await manager.streams.add({ name: "recovered", subjects: ["recovered"] });
    const open = async () => {
      for (;;) {
        try {
          return await jetstream(connection).consumers.get("recovered");
        } catch {
          await new Promise((done) => setTimeout(done, 100));
        }
      }
    };
    const consumer = await open();
    const messages = await consumer.consume({ expires: 5000, idle_heartbeat: 1000 });
    ready();
    for await (const message of messages) note(message.string());
  },
};

const received = [];
let waiting = Number(count);
for (let i = 0; i < Number(count); i++) {
  const numbers = new Set();
  received.push(numbers);
  let first = true;
  kinds[kind](i, () => {
    if (!first) return;
    first = false;
    if (--waiting === 0) console.log("ready");
  }, (body) => numbers.add(parseInt(body, 10)));
}
process.on("uncaughtException", (e) => console.error(kind, e));
process.on("unhandledRejection", (e) => console.error(kind, e));
process.stdin.on("end", () => {
  process.stdout.write(JSON.stringify(received.map((numbers) => [...numbers])) + "\n", () => process.exit(0));
});
process.stdin.resume();
