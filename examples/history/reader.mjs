// Reads a room and misses nothing: after a lost connection, and after its own restart.
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { Client } from "@stomp/stompjs";
import WebSocket from "ws";

globalThis.WebSocket ??= WebSocket; // Node has one of its own since version 22

const room = "/topic/chat.lobby";
const file = "last-event-id.txt"; // a page would use localStorage, with one key for each room
let last = existsSync(file) ? readFileSync(file, "utf8") : "";

function remember(id) {
  last = id;
  writeFileSync(file, id);
}

const client = new Client({
  brokerURL: "ws://127.0.0.1:8080/ws",
  connectHeaders: { login: "guest", passcode: "guest" },
  reconnectDelay: 1000,
});

client.onConnect = () => {
  const returning = last !== "";
  // The RECEIPT comes after the replay. It has an id also where the room is empty.
  client.watchForReceipt("joined", ({ headers }) => {
    if (returning && headers.replay === "incomplete") console.log("some messages are gone: load the room from your server");
    if (headers["last-event-id"]) remember(headers["last-event-id"]);
    console.log("up to date");
  });
  client.subscribe(room, (message) => {
    console.log(`${message.headers.user}: ${message.body}`);
    remember(message.headers["message-id"]); // only once it was handled
  }, { receipt: "joined", ...(returning ? { "last-event-id": last } : { "replay-last": "10" }) });
};
client.onWebSocketClose = () => console.log("disconnected");
client.onStompError = ({ headers }) => console.error(headers.message);
client.activate();
