// Submits orders: node producer.mjs FIRST LAST. Each is stored exactly once before it exits.
import { Client } from "@stomp/stompjs";
import WebSocket from "ws";

globalThis.WebSocket ??= WebSocket; // Node has one of its own since version 22

const [first, last] = process.argv.slice(2).map(Number);
const unconfirmed = new Set();
for (let n = first; n <= last; n++) unconfirmed.add(`order-${n}`);

const client = new Client({
  brokerURL: "ws://127.0.0.1:8080/ws",
  connectHeaders: { login: "guest", passcode: "guest" },
  reconnectDelay: 1000,
});

// After a lost connection everything without a RECEIPT is sent again. The broker stores a
// dedup-id once, so what had arrived before is not stored twice.
client.onConnect = () => {
  for (const id of unconfirmed) {
    client.watchForReceipt(id, () => confirmed(id));
    client.publish({ destination: "/queue/orders", body: JSON.stringify({ id }), headers: { receipt: id, "dedup-id": id } });
  }
};
client.onStompError = ({ headers }) => {
  console.error(headers.message);
  if (headers["retry-after"]) return; // the client tries again by itself
  process.exitCode = 1;
  client.deactivate();
};

function confirmed(id) {
  console.log("stored", id);
  unconfirmed.delete(id);
  if (unconfirmed.size === 0) client.deactivate();
}

client.activate();
