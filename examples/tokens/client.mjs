// A client that stays connected for longer than a token lives: node client.mjs NAME PASSWORD
import { Client } from "@stomp/stompjs";
import WebSocket from "ws";

globalThis.WebSocket ??= WebSocket; // Node has one of its own since version 22

const [name, password] = process.argv.slice(2);
const backend = "http://127.0.0.1:8092";
const post = (path, headers, value) => fetch(`${backend}${path}`, {
  method: "POST", headers, body: value && JSON.stringify(value), signal: AbortSignal.timeout(5000),
});

const login = await post("/login", {}, { name, password });
if (!login.ok) {
  console.error((await login.json()).error);
  process.exit(1);
}
const cookie = login.headers.get("set-cookie").split(";")[0]; // a browser does this by itself

async function fetchToken() {
  const answer = await post("/token", { cookie });
  if (!answer.ok) throw new Error((await answer.json()).error);
  return answer.json();
}

let timer;
const client = new Client({
  brokerURL: "ws://127.0.0.1:8080/ws",
  reconnectDelay: 1000,
  // A fresh token for each connection.
  beforeConnect: async () => {
    try {
      const { token, seconds } = await fetchToken();
      client.connectHeaders = { Authorization: `Bearer ${token}` };
      renewAfter(seconds / 2);
    } catch (error) {
      console.error("no token:", error.message); // STOMP.js tries again, unless this throws
    }
  },
});

// A fresh token for a connection that is open. Without one the session ends when the first does.
function renewAfter(delay) {
  clearTimeout(timer);
  timer = setTimeout(async () => {
    try {
      const { token, seconds } = await fetchToken();
      client.watchForReceipt("renewed", () => console.log("token renewed"));
      client.publish({ destination: "/session/token", body: token, headers: { receipt: "renewed" } });
      renewAfter(seconds / 2);
    } catch (error) {
      console.error("no token:", error.message);
      renewAfter(delay / 2);
    }
  }, delay * 1000);
}

client.onConnect = (frame) => console.log("connected as", frame.headers["user-name"]);
client.onWebSocketClose = () => console.log("disconnected");
client.onStompError = ({ headers }) => console.error(headers.code, headers.message);
client.activate();
