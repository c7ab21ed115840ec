// An app server on @stomp/stompjs, over WebSocket.
import { Client } from "@stomp/stompjs";
import WebSocket from "ws";

globalThis.WebSocket ??= WebSocket; // Node has one of its own since version 22

const server = new Client({
  brokerURL: process.env.STOMPBOX_URL ?? "ws://127.0.0.1:8080/ws",
  connectHeaders: { login: "guest", passcode: "guest" },
});

server.onConnect = () => {
  // A request that this process has and did not acknowledge when it dies goes to
  // another app server.
  server.subscribe("/app/node.*", (request) => {
    const { user, "reply-to": replyTo, "correlation-id": id } = request.headers;
    server.publish({ destination: "/topic/chat.lobby", body: `${user} asks: ${request.body}` });
    if (replyTo) {
      server.publish({ destination: replyTo, body: `hello ${user}`, headers: id ? { "correlation-id": id } : {} });
    }
    request.ack();
  }, { ack: "client-individual", "prefetch-count": "100" });
  console.log("serving /app/node.*");
};
server.onStompError = (frame) => console.error(frame.headers.message);
server.activate(); // and again after five seconds whenever the connection ends
