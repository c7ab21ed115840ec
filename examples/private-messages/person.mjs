// One person: node person.mjs NAME reads, node person.mjs NAME TO TEXT sends a message to another one.
import { Client } from "@stomp/stompjs";
import WebSocket from "ws";

globalThis.WebSocket ??= WebSocket; // Node has one of its own since version 22

const [name, to, text] = process.argv.slice(2);

const client = new Client({
  brokerURL: "ws://127.0.0.1:8080/ws",
  reconnectDelay: 1000,
  // Your backend issues tokens to those who have signed in. --dev issues one to anybody.
  beforeConnect: async () => {
    try {
      const answer = await fetch(`http://127.0.0.1:8080/dev/token?user=${encodeURIComponent(name)}`, { signal: AbortSignal.timeout(5000) });
      client.connectHeaders = { Authorization: `Bearer ${await answer.text()}` };
    } catch (error) {
      console.error("no token:", error.message); // STOMP.js tries again, unless this throws
    }
  },
});

function read() {
  // Each user subscribes to the same name, and gets only messages to themselves.
  client.watchForReceipt("reading", () => console.log(`${name} is reading`));
  client.subscribe("/user/queue/chat", (message) => {
    // The broker sets the header user from the sender's token. A sender cannot forge it.
    console.log(`${message.headers.user} to ${name}: ${message.body}`);
  }, { receipt: "reading", "replay-last": "10" });
}

function send() {
  client.watchForReceipt("sent", () => {
    console.log(`sent to ${to}`); // it is stored, also where that user is away
    client.deactivate();
  });
  client.publish({ destination: `/user/${encodeURIComponent(to)}/queue/chat`, body: text, headers: { receipt: "sent", "dedup-id": id } });
}

const id = crypto.randomUUID(); // a repetition after a lost connection is stored once
client.onConnect = () => (to ? send() : read());
client.onStompError = ({ headers }) => console.error(headers.message);
client.activate();
