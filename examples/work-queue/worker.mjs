// Handles orders, one at a time. Start as many as you like: each order goes to one of them.
import { setTimeout as wait } from "node:timers/promises";
import { Client } from "@stomp/stompjs";
import WebSocket from "ws";

globalThis.WebSocket ??= WebSocket; // Node has one of its own since version 22

const client = new Client({
  brokerURL: "ws://127.0.0.1:8080/ws",
  connectHeaders: { login: "guest", passcode: "guest" },
  reconnectDelay: 1000,
});

async function handle(order) {
  await wait(100); // the work
  if (order.id === "order-13") throw new Error("nothing can be done about order-13");
}

client.onConnect = () => {
  client.subscribe("/queue/orders", async (message) => {
    const order = JSON.parse(message.body);
    const times = Number(message.headers["delivery-count"]);
    try {
      await handle(order);
      if (!client.connected) return; // another worker gets it, so handle must be repeatable
      message.ack();
      console.log("done", order.id);
    } catch (error) {
      console.log(`try ${times} failed: ${error.message}`);
      if (client.connected) message.nack(); // it is delivered again, or becomes a dead letter
    }
  }, { ack: "client-individual", "prefetch-count": "1" });
  console.log("waiting for orders");
};
client.onStompError = ({ headers }) => console.error(headers.message);
client.activate();
